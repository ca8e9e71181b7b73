"""How far each row has turned and stretched: two numbers a row, from which means and medians follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.core.errors import NotMeasurable


@dataclass(frozen=True, eq=False)
class RowDrift:
    """Directions and lengths of rows after a change, against what they were before it.

    The quantities are those of PEFT-Arena (arXiv 2605.28819), from the chord between unit vectors instead of the
    cosine: an arccosine near 1 loses half of its digits, and finds an angle of 1e-4 where there is none.

    Attributes:
        chords: Distance of the two rows, each scaled to length 1: 0 to 2; not a number where one of them is zero.
        ratios: Length after over length before; not a number where the row before is zero.
    """

    chords: Float[Tensor, " rows"]
    ratios: Float[Tensor, " rows"]

    @staticmethod
    def of(before: Float[Tensor, "rows width"], after: Float[Tensor, "rows width"]) -> RowDrift:
        """The drift of paired rows, in float64."""
        before, after = before.double(), after.double()
        lengths, new_lengths = (torch.linalg.vector_norm(rows, dim=1, keepdim=True) for rows in (before, after))
        chords = torch.linalg.vector_norm((after / new_lengths).sub_(before / lengths), dim=1)
        ratios = (new_lengths / lengths)[:, 0]
        return RowDrift(chords.clamp(max=2), torch.where(lengths[:, 0] > 0, ratios, torch.nan))

    @staticmethod
    def joined(parts: Iterable[RowDrift]) -> RowDrift:
        """The rows of several, one after the other."""
        listed = list(parts)
        return RowDrift(torch.cat([part.chords for part in listed]), torch.cat([part.ratios for part in listed]))

    def repeated(self, copies: int) -> RowDrift:
        """Every row as many times."""
        return RowDrift(self.chords.repeat(copies), self.ratios.repeat(copies))

    def mean_cosine(self) -> float:
        """Mean cosine of the angle between a row and its partner: -1 to 1, 1 where no direction has changed."""
        return 1 - self.cosine_drift()

    def cosine_drift(self) -> float:
        """Mean of 1 minus the cosine: 0 to 2, 0 where no direction has changed."""
        return float((self._directed() ** 2 / 2).mean())

    def angular_drift_rad(self) -> float:
        """Mean angle between a row and its partner, 0 to pi."""
        return float(self._angles().mean())

    def median_angular_drift_rad(self) -> float:
        """Median angle; of an even number of rows the mean of the two in the middle, where PEFT-Arena has the lower."""
        angles, count = self._angles().sort().values, len(self.chords)
        return float(angles[(count - 1) // 2] + angles[count // 2]) / 2

    def norm_ratio(self) -> float:
        """Mean of the length after over the length before; 1 where no length has changed."""
        return float(self._stretched().mean())

    def norm_ratio_deviation(self) -> float:
        """Standard deviation of the ratio of lengths over these rows (divided by their number)."""
        return float(self._stretched().std(correction=0))

    def norm_drift(self) -> float:
        """Mean size of the logarithm of the ratio of lengths: 0 where no length has changed."""
        ratios = self._stretched()
        if not bool((ratios > 0).all()):
            raise NotMeasurable(f"{int((ratios <= 0).sum())} of {len(ratios)} rows are zero after the change")
        return float(ratios.log().abs().mean())

    def _angles(self) -> Float[Tensor, " rows"]:
        angles: Tensor = 2 * torch.asin(self._directed() / 2)
        return angles

    def _directed(self) -> Float[Tensor, " rows"]:
        return _defined(self.chords, "are zero and have no direction")

    def _stretched(self) -> Float[Tensor, " rows"]:
        return _defined(self.ratios, "are zero before the change")


def _defined(numbers: Float[Tensor, " rows"], fault: str) -> Float[Tensor, " rows"]:
    if not len(numbers):
        raise NotMeasurable("there are no rows to be compared")
    if bool(numbers.isnan().any()):
        raise NotMeasurable(f"{int(numbers.isnan().sum())} of {len(numbers)} rows {fault}")
    return numbers
