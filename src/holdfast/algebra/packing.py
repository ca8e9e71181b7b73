"""Flags as bits, eight a byte, and back: the arithmetic under masks, on a stretch of a tensor at a time."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor
from torch.nn.functional import pad

STRETCH: Final = 1 << 20
"""Scalars that are looked at together: few enough for small temporaries, many enough that calls cost little."""

_WIDE_STRETCH: Final = 1 << 24

_GATHER: Final = 0x0102040810204080
_SPREAD: Final = 0x0101010101010101
_PICK: Final = -0x7FBFDFEFF7FBFDFF  # 0x8040201008040201 as a signed number


def stretch(device: torch.device) -> int:
    """How many scalars are looked at together, a multiple of 64; more where starting a kernel is what costs."""
    return STRETCH if device.type == "cpu" else _WIDE_STRETCH


def pack(flags: Bool[Tensor, " n"]) -> UInt8[Tensor, " bytes"]:
    """Eight flags a byte, the first in the lowest bit; what is missing from the last byte is 0."""
    rest = -flags.numel() % 8
    if rest or flags.storage_offset() % 8 or not flags.is_contiguous():
        flags = pad(flags.view(torch.uint8), (0, rest)).clone().view(torch.bool)
    # In the product of eight bytes, each 0 or 1, with this number, every one of them has a bit of the top byte.
    return (flags.view(torch.int64) * _GATHER).bitwise_right_shift_(56).to(torch.uint8)


def unpack(packed: UInt8[Tensor, " bytes"]) -> Bool[Tensor, " flags"]:
    """The flags of all bits, those beyond the end of the tensor among them."""
    spread = (packed.to(torch.int64) * _SPREAD).bitwise_and_(_PICK)
    return spread.view(torch.uint8) != 0


def places(packed: UInt8[Tensor, " bytes"]) -> Int[Tensor, " set"]:
    """Where bits are set, ascending; bytes without any cost next to nothing."""
    some = packed.nonzero()
    inner = unpack(packed[some[:, 0]]).view(-1, 8).nonzero()
    return some[inner[:, 0], 0] * 8 + inner[:, 1]


def popcount(packed: UInt8[Tensor, " bytes"]) -> int:
    """How many bits are set, counted 64 at a time."""
    words = packed.numel() // 8
    if packed.storage_offset() % 8:
        packed = packed.clone()
    found = int(unpack(packed[words * 8 :]).sum())
    return found + sum(_ones(run) for run in torch.split(packed[: words * 8].view(torch.int64), STRETCH // 8))


def _ones(words: Int[Tensor, " words"]) -> int:
    # Sums of neighbouring bits, then pairs, then fours; the sign, which a shift to the right repeats, is masked away.
    pairs = words - ((words >> 1) & 0x5555555555555555)
    fours = (pairs & 0x3333333333333333) + ((pairs >> 2) & 0x3333333333333333)
    eights = (fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F
    return int(((eights * _SPREAD) >> 56).sum())
