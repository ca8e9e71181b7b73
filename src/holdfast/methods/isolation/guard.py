"""Held scalars: whatever the optimizer does to them, weight decay included, is undone after every step, bit for bit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask

FEW_FRAC = 1 / 64
"""Up to this share positions are kept: 64 bits a held scalar is then at most one bit a scalar."""

MANY_FRAC = 1 / 2
"""From this share on the whole tensor is kept, and one bit a scalar."""

BLOCK = 2**16
"""Scalars whose places within their block take 16 bits."""


class Guard:
    """Keeps chosen scalars of some tensors at the values they had when they were chosen.

    Between two choices they are constant; writing them back after a step is therefore the same as never having moved
    them: ``theta + (1 - M) d`` for any optimizer, fused or not, without touching its code.
    """

    def __init__(self, parts: Mapping[str, Tensor], *, uncopied: Collection[str] = ()) -> None:
        """Nothing is held yet.

        Args:
            parts: Tensors by name, sharing memory with what the optimizer moves.
            uncopied: Tensors that the optimizer does not move while they are held whole: then nothing is put back.
        """
        self._parts = parts
        self._uncopied = uncopied
        self._held: dict[str, _Held] = {}
        self._whole: list[str] = []

    def hold(self, mask: Mask) -> None:
        """From now on keep these scalars, and no others, at their present values."""
        self._whole = []
        # One tensor at a time, so that old and new values never lie in memory together.
        for name, part in self._parts.items():
            self._held.pop(name, None)
            if name in mask and mask[name].count():
                self._held[name] = self._holding(name, mask[name], part)

    def put_back(self) -> None:
        """Give all held scalars their values again."""
        for name, held in self._held.items():
            held.write(self._parts[name])

    def shrink(self, factors: Mapping[str, float]) -> None:
        """Multiply the values that held scalars will be given again, as decoupled weight decay would."""
        for name, held in self._held.items():
            held.scale(factors[name])

    def whole(self) -> list[str]:
        """The tensors of which all scalars are held."""
        return self._whole

    def quench(self, gradients: Mapping[str, Tensor]) -> None:
        """Set the gradients of held scalars to zero.

        The optimizer's momentum and weight decay go on moving them: this is the published form of some methods, and it
        does not hold anything.
        """
        for name, held in self._held.items():
            if name in gradients:
                held.zero(gradients[name])

    def mask(self) -> Mask:
        """The scalars that are held."""
        none = {name: Bits.none(part.shape, device=part.device) for name, part in self._parts.items()}
        return Mask({**none, **{name: held.bits() for name, held in self._held.items()}})

    def extra_bytes(self) -> int:
        """Memory taken by values, positions and bits."""
        return sum(tensor.numel() * tensor.element_size() for held in self._held.values() for tensor in held.kept())

    def _holding(self, name: str, bits: Bits, part: Tensor) -> _Held:
        count = bits.count()
        if count == bits.size:
            self._whole.append(name)
            if name in self._uncopied:
                return _Whole(bits, part.detach())
        share = count / bits.size
        if share <= FEW_FRAC:
            return _Few(bits, part.detach())
        if share >= MANY_FRAC:
            return _Many(bits, part.detach())
        # A kernel a block is nothing beside the work on a processor, and everything on a GPU.
        return (_Blocks if part.device.type == "cpu" else _Some)(bits, part.detach())


class _Held(ABC):
    """The held scalars of one tensor, with their values."""

    def scale(self, factor: float) -> None:
        for tensor in self.kept():
            if tensor.is_floating_point():
                tensor.mul_(factor)

    @abstractmethod
    def write(self, part: Tensor) -> None: ...

    @abstractmethod
    def zero(self, gradient: Tensor) -> None: ...

    @abstractmethod
    def bits(self) -> Bits: ...

    @abstractmethod
    def kept(self) -> tuple[Tensor, ...]: ...


class _Whole(_Held):
    """Nothing at all: an optimizer without its gradient leaves the tensor where it is."""

    def __init__(self, bits: Bits, part: Tensor) -> None:
        self._bits = bits

    def write(self, part: Tensor) -> None:
        """There is nothing to undo."""

    def zero(self, gradient: Tensor) -> None:
        gradient.zero_()

    def bits(self) -> Bits:
        return self._bits

    def kept(self) -> tuple[Tensor, ...]:
        return (self._bits.packed,)


class _Few(_Held):
    """Positions and values: the fastest form, and the smallest while few are held."""

    def __init__(self, bits: Bits, part: Tensor) -> None:
        self._shape, self._positions = bits.shape, bits.positions()
        self._values = _flat(part)[self._positions]

    def write(self, part: Tensor) -> None:
        _flat(part).index_copy_(0, self._positions, self._values)

    def zero(self, gradient: Tensor) -> None:
        _flat(gradient).index_fill_(0, self._positions, 0)

    def bits(self) -> Bits:
        return Bits.at(self._positions, self._shape)

    def kept(self) -> tuple[Tensor, ...]:
        return self._positions, self._values


class _Blocks(_Held):
    """Places within blocks, at 16 bits a held scalar, and values: two to three times faster than bits."""

    def __init__(self, bits: Bits, part: Tensor) -> None:
        self._shape, positions = bits.shape, bits.positions()
        counts = torch.bincount(positions // BLOCK, minlength=-(-bits.size // BLOCK)).tolist()
        self._places, self._values = (positions % BLOCK).to(torch.uint16), _flat(part)[positions]
        self._blocks = list(zip(torch.split(self._places, counts), torch.split(self._values, counts), strict=True))

    def write(self, part: Tensor) -> None:
        for block, (places, values) in zip(torch.split(_flat(part), BLOCK), self._blocks, strict=True):
            block.index_copy_(0, places.long(), values)

    def zero(self, gradient: Tensor) -> None:
        for block, (places, _) in zip(torch.split(_flat(gradient), BLOCK), self._blocks, strict=True):
            block.index_fill_(0, places.long(), 0)

    def bits(self) -> Bits:
        starts = (BLOCK * number + places.long() for number, (places, _) in enumerate(self._blocks))
        return Bits.at(torch.cat(list(starts)), self._shape)

    def kept(self) -> tuple[Tensor, ...]:
        return self._places, self._values


class _ByBits(_Held):
    """One bit a scalar, and values that subclasses keep."""

    def __init__(self, bits: Bits, values: Tensor) -> None:
        self._bits, self._values = bits, values

    def zero(self, gradient: Tensor) -> None:
        gradient.masked_fill_(self._bits.dense(), 0)

    def bits(self) -> Bits:
        return self._bits

    def kept(self) -> tuple[Tensor, ...]:
        return self._bits.packed, self._values


class _Some(_ByBits):
    """The values of those that are held."""

    def __init__(self, bits: Bits, part: Tensor) -> None:
        super().__init__(bits, part[bits.dense()])

    def write(self, part: Tensor) -> None:
        part.masked_scatter_(self._bits.dense(), self._values)


class _Many(_ByBits):
    """A copy of the whole tensor."""

    def __init__(self, bits: Bits, part: Tensor) -> None:
        super().__init__(bits, part.clone())

    def write(self, part: Tensor) -> None:
        torch.where(self._bits.dense(), self._values, part, out=part)


def _flat(part: Tensor) -> Tensor:
    # Parameters are contiguous; a view is needed, since a copy would be written to and thrown away.
    return part.detach().view(-1)
