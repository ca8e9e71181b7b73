"""Numbers drawn at random of which each depends on its own place alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

_TOGETHER: Final = 1 << 17


class Uniform(Mapping[str, Tensor]):
    """For every scalar of a model a number in [0, 1), made when its tensor is asked for.

    The number is a function of the seed, the name of the tensor and the position in the whole of it: the last 24 bits
    of SplitMix64 (Steele, Lea and Flood 2014).

    Args:
        shapes: Shape of the part of every tensor that is meant.
        seed: Of the numbers.
        starts: At which position of the whole tensor the part begins; 0 for those without.
        device: Where the numbers are made.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], seed: int, starts: Mapping[str, int], device: torch.device
    ) -> None:
        self._shapes, self._seed, self._starts, self._device = shapes, seed, starts, device

    def __getitem__(self, name: str) -> Float[Tensor, "*shape"]:
        shape, start = self._shapes[name], self._starts.get(name, 0)
        key = _signed(hashlib.blake2b(f"{self._seed} {name}".encode(), digest_size=8).digest())
        found = torch.empty(prod(shape), device=self._device)
        for run in torch.split(found, _TOGETHER):
            places = torch.arange(start, start + len(run), device=self._device)
            run.copy_(_mixed(places, key).bitwise_and_(0xFFFFFF))
            start += len(run)
        return found.mul_(2.0**-24).view(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def _mixed(places: Int[Tensor, " n"], key: int) -> Int[Tensor, " n"]:
    """SplitMix64 with a key for its state; products of whole numbers wrap around, as it wants them to."""
    mixed = places.mul_(-0x61C8864680B583EB).add_(key)
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        mixed = _folded(mixed, shift).mul_(factor)
    return _folded(mixed, 31)


def _folded(mixed: Tensor, shift: int) -> Tensor:
    """Exclusive or with itself shifted to the right, without the sign that such a shift repeats."""
    return (mixed >> shift).bitwise_and_((1 << 64 - shift) - 1).bitwise_xor_(mixed)


def _signed(key: bytes) -> int:
    return int.from_bytes(key, "big", signed=True)
