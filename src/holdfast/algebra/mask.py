"""Which scalars of a model are meant: the choice in every tensor, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from jaxtyping import UInt8
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.core.errors import NotMeasurable


class Mask(Mapping[str, Bits]):
    """A choice among the scalars of several tensors.

    Args:
        bits: The choice in each tensor, by name; the order is kept.
    """

    def __init__(self, bits: Mapping[str, Bits]) -> None:
        self._bits = dict(bits)

    @classmethod
    def none_of(cls, shapes: Mapping[str, Iterable[int]]) -> Mask:
        """No scalar of tensors of these shapes."""
        return cls({name: Bits.none(shape) for name, shape in shapes.items()})

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, UInt8[Tensor, " bytes"]], shapes: Mapping[str, Iterable[int]]) -> Mask:
        """A mask as `tensors` gave it, in the order of the shapes.

        Raises:
            ValueError: If the names are not the same, or bytes do not fit a shape.
        """
        _same_names("the shapes", shapes, "the bytes", tensors)
        return cls({name: Bits(tensors[name], shape) for name, shape in shapes.items()})

    def tensors(self) -> dict[str, UInt8[Tensor, " bytes"]]:
        """The packed bits, to be written to a file; the shapes are to be kept by whoever reads it again."""
        return {name: bits.packed for name, bits in self.items()}

    @property
    def size(self) -> int:
        """Scalars of all tensors."""
        return sum(bits.size for bits in self.values())

    @property
    def share_frac(self) -> float:
        """Chosen scalars over all.

        Raises:
            NotMeasurable: If there are no scalars.
        """
        if not self.size:
            raise NotMeasurable("share of a mask: its tensors have no scalars")
        return self.count() / self.size

    def count(self) -> int:
        """How many scalars are chosen."""
        return sum(bits.count() for bits in self.values())

    def jaccard(self, other: Mask) -> float:
        """Scalars that both choose over those that either chooses, in [0, 1].

        Raises:
            NotMeasurable: If neither chooses any.
            ValueError: If the tensors are not the same.
        """
        either = (self | other).count()
        if not either:
            raise NotMeasurable("overlap of two masks: neither holds a scalar, and 0 over 0 is undefined")
        return (self & other).count() / either

    def __and__(self, other: Mask) -> Mask:
        return self._with(other, Bits.__and__)

    def __or__(self, other: Mask) -> Mask:
        return self._with(other, Bits.__or__)

    def __invert__(self) -> Mask:
        return Mask({name: ~bits for name, bits in self.items()})

    def __getitem__(self, name: str) -> Bits:
        return self._bits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._bits)

    def __len__(self) -> int:
        return len(self._bits)

    def __repr__(self) -> str:
        return f"Mask({self.count()} of {self.size} scalars in {len(self)} tensors)"

    def _with(self, other: Mask, join: Callable[[Bits, Bits], Bits]) -> Mask:
        _same_names("one mask", self, "the other", other)
        for name, bits in self.items():
            if bits.shape != other[name].shape:
                raise ValueError(
                    f"masks of different tensors: '{name}' is {bits.shape} in one, {other[name].shape} in the other"
                )
        return Mask({name: join(bits, other[name]) for name, bits in self.items()})


def _same_names(one: str, wanted: Mapping[str, object], other: str, found: Mapping[str, object]) -> None:
    if missing := wanted.keys() - found.keys():
        raise ValueError(f"masks of different tensors: only {one} names {_listed(missing)}")
    if surplus := found.keys() - wanted.keys():
        raise ValueError(f"masks of different tensors: only {other} names {_listed(surplus)}")


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known[:3]) + (f" and {len(known) - 3} more" if len(known) > 3 else "")
