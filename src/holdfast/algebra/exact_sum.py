"""Sums that do not depend on the order of what is added: the same whichever process holds which part."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BITS: Final = 30
_LOWEST: Final = -150
_WINDOWS: Final = 10
_TOGETHER: Final = 1 << 16
"""Numbers that are cut together: they stay in a cache."""


def exact_sum(values: Float[Tensor, " n"]) -> Int[Tensor, " windows"]:
    """The exact sum of up to 2^33 numbers from 0 up in float32: how many units of 2^-150, 2^-120, ... 2^120 it takes.

    Every number is cut into whole multiples of the units, the largest first; float64 adds multiples of one unit without
    rounding, as long as there are at most 2^23 of less than 2^30 units.
    """
    totals = [0] * _WINDOWS
    for run in torch.split(values, _TOGETHER):
        rest = run.double()
        window = (math.frexp(float(rest.max()))[1] - _LOWEST) // _BITS if len(rest) else 0
        while bool(rest.any()):
            unit = 2.0 ** (_LOWEST + _BITS * window)
            # Beside a number of this size float64 has no digits below the unit.
            large = 1.5 * 2.0**52 * unit
            whole = (rest + large).sub_(large)
            totals[window] += int(float(whole.sum()) / unit)
            rest -= whole
            window -= 1
    return torch.tensor(totals)


def sum_of(units: Int[Tensor, " windows"]) -> Fraction:
    """The sum that numbers of units stand for."""
    powers = (Fraction(2) ** (_LOWEST + _BITS * window) for window in range(_WINDOWS))
    return sum((count * power for count, power in zip(units.tolist(), powers, strict=True)), Fraction(0))
