"""Changes of few entries, kept as positions and values."""

from __future__ import annotations

from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from holdfast.algebra.delta import Delta, exact


class Sparse(Delta):
    """A change that is zero but for the listed entries.

    Args:
        positions: Positions in the flattened tensor, each at most once.
        values: The change at each position.
        shape: Shape of the tensor that is changed.
    """

    def __init__(
        self, positions: Int[Tensor, " entries"], values: Float[Tensor, " entries"], shape: tuple[int, ...]
    ) -> None:
        if positions.shape != values.shape:
            raise ValueError(f"{len(positions)} positions do not fit {len(values)} values")
        if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) < prod(shape):
            raise ValueError(f"positions lie outside a tensor of shape {shape}")
        if len(torch.unique(positions)) != len(positions):
            raise ValueError("a position is listed twice")
        self._positions, self._values, self._shape = positions, exact(values.detach()), tuple(shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    def dense(self) -> Tensor:
        flat = self._values.new_zeros(prod(self._shape))
        flat[self._positions] = self._values
        return flat.reshape(self._shape)

    def times(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Cost: one multiplication an entry, not one an element of the matrix."""
        self._matrix("times")
        outputs, width = self._shape
        rows = self._positions // width
        terms = inputs.to(self._values.dtype)[..., self._positions % width] * self._values
        return terms.new_zeros(*inputs.shape[:-1], outputs).index_add(-1, rows, terms)

    def norm(self) -> float:
        return float(torch.linalg.vector_norm(self._values))

    def to(self, device: torch.device | str) -> Delta:
        return Sparse(self._positions.to(device), self._values.to(device), self._shape)
