"""How much of a change a model's own precision leaves: what is small beside its weight vanishes."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from holdfast.core.errors import NotMeasurable


@dataclass(frozen=True)
class Rounding:
    """What became of a change when the sum with the weights was rounded.

    Attributes:
        vanished_frac: Share of the numbers of the change that moved nothing.
        error_frac: Length of the difference between the change that was made and the one that was meant, as a share of
            the latter's.
        effective_frac: Length of the change that was made, as a share of the one that was meant.
    """

    vanished_frac: float
    error_frac: float
    effective_frac: float


class RoundingTally:
    """Adds up what rounding does, run by run."""

    def __init__(self) -> None:
        self._meant = self._vanished = 0
        self._meant_square = self._made_square = self._error_square = 0.0

    def add(self, start: Tensor, moved: Tensor, change: Tensor, dtype: torch.dtype) -> None:
        """Count a run.

        Args:
            start: Weights as they were, before any rounding.
            moved: The sum of these and the change, before rounding.
            change: What was meant.
            dtype: The precision of the model.
        """
        made = moved.to(dtype).double() - start.to(dtype).double()
        meant = change.double()
        self._meant += int(meant.count_nonzero())
        self._vanished += int(((made == 0) & (meant != 0)).sum())
        self._meant_square += float(meant.square().sum())
        self._made_square += float(made.square().sum())
        self._error_square += float((made - meant).square().sum())

    def found(self) -> Rounding:
        """What was counted.

        Raises:
            NotMeasurable: If the change was 0 everywhere.
        """
        if not self._meant:
            raise NotMeasurable("what rounding leaves of a change of 0; ask at a distance from the base")
        return Rounding(
            vanished_frac=self._vanished / self._meant,
            error_frac=sqrt(self._error_square / self._meant_square),
            effective_frac=sqrt(self._made_square / self._meant_square),
        )
