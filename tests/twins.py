"""Changes in every form, each with its dense twin worked out by plain torch in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.algebra.delta import Delta, Dense, Scaled, Sum
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.sparse import Sparse

DTYPES = (torch.float32, torch.float64, torch.bfloat16)


@dataclass(frozen=True)
class Twins:
    """A change, and what it should be as one matrix."""

    change: Delta
    dense: Tensor


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def skewed(blocks: int, width: int, scale: float = 0.5, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    square = scale * normal(blocks, width, width, seed=seed)
    return (square - square.mT).to(dtype)


def dense_twins(outputs: int, inputs: int, dtype: torch.dtype) -> Twins:
    change = normal(outputs, inputs, dtype=dtype)
    return Twins(Dense(change), change.double())


def low_rank_twins(rank: int) -> Callable[[int, int, torch.dtype], Twins]:
    def make(outputs: int, inputs: int, dtype: torch.dtype) -> Twins:
        left, right = normal(outputs, rank, dtype=dtype), normal(rank, inputs, seed=1, dtype=dtype)
        return Twins(LowRank(left, right), left.double() @ right.double())

    return make


def deficient_twins(outputs: int, inputs: int, dtype: torch.dtype) -> Twins:
    """Factors of rank 3 whose product has rank 1."""
    left, right = normal(outputs, 1, dtype=dtype).repeat(1, 3), normal(3, inputs, seed=1, dtype=dtype)
    return Twins(LowRank(left, right), left.double() @ right.double())


def sparse_twins(share: float) -> Callable[[int, int, torch.dtype], Twins]:
    def make(outputs: int, inputs: int, dtype: torch.dtype) -> Twins:
        entries = round(share * outputs * inputs)
        positions = torch.randperm(outputs * inputs, generator=torch.Generator().manual_seed(3))[:entries]
        values = normal(entries, dtype=dtype)
        dense = torch.zeros(outputs, inputs, dtype=torch.float64)
        for position, value in zip(positions.tolist(), values.double().tolist(), strict=True):
            dense[position // inputs, position % inputs] = value
        return Twins(Sparse(positions, values, (outputs, inputs)), dense)

    return make


def rotation_twins(blocks: int) -> Callable[[int, int, torch.dtype], Twins]:
    def make(outputs: int, inputs: int, dtype: torch.dtype) -> Twins:
        count = blocks if inputs % blocks == 0 else 1
        weight, generator = normal(outputs, inputs, dtype=dtype), skewed(count, inputs // count, dtype=dtype)
        identity = torch.eye(inputs // count, dtype=torch.float64)
        turns = [(identity + q) @ torch.linalg.inv(identity - q) for q in generator.double()]
        return Twins(Rotation(weight, generator), weight.double() @ torch.block_diag(*turns) - weight.double())

    return make


def scaled_twins(outputs: int, inputs: int, dtype: torch.dtype) -> Twins:
    inner = low_rank_twins(2)(outputs, inputs, dtype)
    return Twins(Scaled(-0.7, inner.change), -0.7 * inner.dense)


def sum_twins(outputs: int, inputs: int, dtype: torch.dtype) -> Twins:
    parts = [make(outputs, inputs, dtype) for make in (low_rank_twins(1), sparse_twins(0.3), rotation_twins(2))]
    return Twins(Sum(*(part.change for part in parts)), torch.stack([part.dense for part in parts]).sum(0))


MAKERS: dict[str, Callable[[int, int, torch.dtype], Twins]] = {
    "dense": dense_twins,
    "rank 0": low_rank_twins(0),
    "rank 1": low_rank_twins(1),
    "rank 3": low_rank_twins(3),
    "rank above both widths": low_rank_twins(12),
    "factors of deficient rank": deficient_twins,
    "no entry": sparse_twins(0.0),
    "few entries": sparse_twins(0.2),
    "all entries": sparse_twins(1.0),
    "one block": rotation_twins(1),
    "two blocks": rotation_twins(2),
    "scaled": scaled_twins,
    "sum": sum_twins,
}
SHAPES = ((4, 10), (10, 4), (6, 6), (1, 1), (1, 8), (8, 1))
