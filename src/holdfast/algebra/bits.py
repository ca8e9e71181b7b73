"""Which scalars of one tensor are meant, at one bit each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from holdfast.algebra.packing import STRETCH, pack, places, popcount, unpack

Shape = tuple[int, ...]


class Bits:
    """A choice among the scalars of one tensor.

    Args:
        packed: Eight scalars a byte in the order of the flattened tensor, the first in the lowest bit; the bits beyond
            the last scalar are 0.
        shape: Shape of the tensor.

    Attributes:
        packed: As given.
        shape: As given.

    Raises:
        ValueError: If the bytes do not fit the shape, or bits beyond the last scalar are set.
    """

    def __init__(self, packed: UInt8[Tensor, " bytes"], shape: Iterable[int]) -> None:
        self.packed, self.shape = packed, tuple(shape)
        wanted = (_length(self.shape),)
        if packed.dtype != torch.uint8 or packed.shape != wanted:
            found = f"{tuple(packed.shape)} of {packed.dtype}"
            raise ValueError(f"bits of a tensor of shape {self.shape} take {wanted} of torch.uint8, not {found}")
        if self.size % 8 and int(packed[-1]) >> self.size % 8:
            raise ValueError(f"bits are set beyond the {self.size} scalars of a tensor of shape {self.shape}")

    @classmethod
    def of(cls, chosen: Bool[Tensor, "*shape"]) -> Bits:
        """Those which a mask of flags chooses."""
        flags = chosen.reshape(-1)
        return cls(_joined((pack(run) for run in torch.split(flags, STRETCH)), chosen.device), chosen.shape)

    @classmethod
    def at(cls, positions: Int[Tensor, " entries"], shape: Iterable[int]) -> Bits:
        """Those at positions of the flattened tensor, in any order; one that is named twice is chosen once.

        Raises:
            ValueError: If a position lies outside of the tensor.
        """
        found = cls.none(shape, device=positions.device)
        if not positions.numel():
            return found
        if int(positions.min()) < 0 or int(positions.max()) >= found.size:
            raise ValueError(f"positions lie outside a tensor of shape {found.shape}")
        # Bits of one byte follow each other, so that adding them up is joining them, as long as none comes twice.
        if positions.numel() > 1 and not bool((positions[1:] > positions[:-1]).all()):
            positions = torch.unique(positions)
        bits = torch.ones_like(positions, dtype=torch.uint8).bitwise_left_shift_((positions & 7).to(torch.uint8))
        found.packed.scatter_add_(0, positions >> 3, bits)
        return found

    @classmethod
    def rows(cls, chosen_rows: Bool[Tensor, " rows"], shape: Iterable[int]) -> Bits:
        """Whole rows: all that has one of these places in the first dimension.

        Raises:
            ValueError: If there are not as many flags as rows.
        """
        shape = _fitting(chosen_rows, tuple(shape), 0, "rows")
        width = prod(shape[1:])
        # Eight rows end with a byte.
        together = 8 * max(1, STRETCH // (8 * max(1, width)))
        runs = (pack(run[:, None].expand(-1, width).reshape(-1)) for run in torch.split(chosen_rows, together))
        return cls(_joined(runs, chosen_rows.device), shape)

    @classmethod
    def columns(cls, chosen_columns: Bool[Tensor, " columns"], shape: Iterable[int]) -> Bits:
        """Whole columns: all that has one of these places in the last dimension.

        Raises:
            ValueError: If there are not as many flags as columns.
        """
        shape = _fitting(chosen_columns, tuple(shape), -1, "columns")
        size, length = prod(shape), _length(shape)
        if not size:
            return cls.none(shape, device=chosen_columns.device)
        eight = pack(chosen_columns.repeat(8))
        return cls(_trimmed(eight.repeat(-(-length // len(eight)))[:length], size), shape)

    @classmethod
    def all(cls, shape: Iterable[int], *, device: torch.device | str = "cpu") -> Bits:
        """Every scalar."""
        return ~cls.none(shape, device=device)

    @classmethod
    def none(cls, shape: Iterable[int], *, device: torch.device | str = "cpu") -> Bits:
        """No scalar."""
        shape = tuple(shape)
        return cls(torch.zeros(_length(shape), dtype=torch.uint8, device=device), shape)

    @property
    def size(self) -> int:
        """Scalars of the tensor."""
        return prod(self.shape)

    @property
    def device(self) -> torch.device:
        """Where the bits lie."""
        return self.packed.device

    def count(self) -> int:
        """How many scalars are chosen."""
        return popcount(self.packed)

    def dense(self) -> Bool[Tensor, "*shape"]:
        """One flag a scalar."""
        flags = torch.empty(self.size, dtype=torch.bool, device=self.device)
        for start, run in self._runs():
            kept = flags[start : start + STRETCH]
            kept.copy_(unpack(run)[: len(kept)])
        return flags.view(self.shape)

    def positions(self) -> Int[Tensor, " entries"]:
        """Where the chosen scalars stand in the flattened tensor, ascending."""
        return _joined((places(run).add_(start) for start, run in self._runs()), self.device, torch.int64)

    def first(self, count: int) -> Bits:
        """The first of the chosen scalars, as many as asked; all, if there are no more."""
        found = Bits.none(self.shape, device=self.device)
        for start, run in self._runs():
            here = popcount(run)
            if here > count:
                kept = Bits.at(places(run)[:count], (8 * len(run),)).packed
                found.packed[start // 8 : start // 8 + len(run)] = kept
                break
            found.packed[start // 8 : start // 8 + len(run)] = run
            count -= here
        return found

    def to(self, device: torch.device | str) -> Bits:
        """The same choice on a device."""
        return Bits(self.packed.to(device), self.shape)

    def __and__(self, other: Bits) -> Bits:
        return Bits(self.packed & self._like(other), self.shape)

    def __or__(self, other: Bits) -> Bits:
        return Bits(self.packed | self._like(other), self.shape)

    def __invert__(self) -> Bits:
        return Bits(_trimmed(~self.packed, self.size), self.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bits):
            return NotImplemented
        return self.shape == other.shape and torch.equal(self.packed, other.packed.to(self.device))

    __hash__ = None  # type: ignore[assignment]  # what can be changed in place is no key

    def __repr__(self) -> str:
        return f"Bits({self.count()} of {self.size}, shape {self.shape})"

    def _runs(self) -> Iterator[tuple[int, Tensor]]:
        """Stretches of bytes, each with the position of its first scalar."""
        for number, run in enumerate(torch.split(self.packed, STRETCH // 8)):
            yield number * STRETCH, run

    def _like(self, other: Bits) -> Tensor:
        if self.shape != other.shape:
            raise ValueError(f"bits of a tensor of shape {self.shape} do not fit those of shape {other.shape}")
        return other.packed


def _length(shape: Shape) -> int:
    return -(-prod(shape) // 8)


def _trimmed(packed: Tensor, size: int) -> Tensor:
    """The same bytes, changed in place, with nothing set beyond the last scalar."""
    if size % 8:
        packed[-1] &= (1 << size % 8) - 1
    return packed


def _fitting(chosen: Tensor, shape: Shape, dimension: int, what: str) -> Shape:
    if not shape or chosen.shape != (shape[dimension],):
        raise ValueError(f"{tuple(chosen.shape)} flags do not fit the {what} of a tensor of shape {shape}")
    return shape


def _joined(parts: Iterable[Tensor], device: torch.device, dtype: torch.dtype = torch.uint8) -> Tensor:
    found = list(parts)
    return torch.cat(found) if found else torch.zeros(0, dtype=dtype, device=device)
