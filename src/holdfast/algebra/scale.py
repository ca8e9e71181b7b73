"""How the scores of one group are made comparable with those of others: an origin and a unit."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

_INFINITY_BITS: Final = 0x7F800000


@dataclass(frozen=True)
class Scale:
    """Calibrated is ``(score - origin) / unit``, in float64; 0 for all scores where the unit is 0.

    In float64 two different scores in float32 never get the same calibrated value, so that within a group the order is
    that of the scores.

    Attributes:
        origin: At most the least score of the group.
        unit: What is called 1.
    """

    origin: float = 0.0
    unit: float = 1.0

    def of(self, scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The calibrated scores, in float64."""
        if not self.unit:
            return torch.zeros_like(scores, dtype=torch.float64)
        exact = scores.double() - self.origin
        # On a GPU a plain number as a divisor becomes a factor, which rounds otherwise. The sign is that of a zero.
        return (exact / torch.tensor(self.unit, dtype=torch.float64, device=scores.device)).abs()

    def reaching(self, calibrated: float) -> float:
        """The least score in float32 that is calibrated to a value or more; infinity, if none is."""
        return _number(bisect_left(range(_INFINITY_BITS), calibrated, key=self._of_bits))

    def beyond(self, calibrated: float) -> float:
        """The least score in float32 that is calibrated to more than a value; infinity, if none is."""
        return _number(bisect_right(range(_INFINITY_BITS), calibrated, key=self._of_bits))

    def _of_bits(self, bits: int) -> float:
        # Numbers from 0 up are ordered as their bits are, so that thresholds are found exactly, by halving.
        return (_number(bits) - self.origin) / self.unit if self.unit else 0.0


def _number(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])
