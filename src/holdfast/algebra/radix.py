"""The value of a rank among numbers that several processes hold, by counting digits."""

from __future__ import annotations

import struct
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.ranks import Ranks

_DIGIT_BITS: Final = 13
_DIGITS: Final = 1 << _DIGIT_BITS


def ranked(values: Float[Tensor, " n"], rank: int, ranks: Ranks) -> float:
    """The value of a rank, 1 being the largest: exact, by five counts of digits, whatever the number of values.

    Args:
        values: What is held here, from 0 up, in float64: such numbers have the order of their bits.
        rank: At most the number of values over all processes.
        ranks: The processes.
    """
    bits, found = values.view(torch.int64), 0
    for shift in range(4 * _DIGIT_BITS, -1, -_DIGIT_BITS):
        digits = (bits >> shift) & (_DIGITS - 1)
        beyond = ranks.sum(torch.bincount(digits, minlength=_DIGITS)).flip(0).cumsum(0)
        place = int(torch.searchsorted(beyond, rank))
        if place:
            rank -= int(beyond[place - 1])
        digit = _DIGITS - 1 - place
        bits, found = bits[digits == digit], found * _DIGITS + digit
    return float(struct.unpack("<d", struct.pack("<Q", found))[0])
