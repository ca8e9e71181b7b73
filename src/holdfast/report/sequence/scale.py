"""Scores of any unit on a scale from 0 to 1, as metrics of sequences want them, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float

from holdfast.core.scores import TaskScores, Unit
from holdfast.metrics.tradeoff import UnusableScores

Nature = Literal["level", "difference", "ratio"]
"""What becomes of a number when all scores are moved and stretched alike."""

Numbers = TypeVar("Numbers", float, Float[np.ndarray, " resamples"])


@dataclass(frozen=True)
class Scale:
    """A straight line from a unit to 0 to 1.

    Attributes:
        unit: Of the scores.
        low: The score that is 0.
        width: From there to the score that is 1.
    """

    unit: Unit
    low: float = 0.0
    width: float = 1.0

    def on(self, scores: Float[np.ndarray, " items"]) -> Float[np.ndarray, " items"]:
        """Scores on the scale."""
        placed: Float[np.ndarray, " items"] = (scores - self.low) / self.width
        return placed

    def back(self, number: Numbers, nature: Nature) -> Numbers:
        """A number, or one a resample, that was computed on the scale, in the unit of the scores."""
        if nature == "ratio":
            return number
        return number * self.width + (self.low if nature == "level" else 0.0)


def scale_of(unit: Unit, points: Iterable[Float[np.ndarray, " items"]]) -> Scale:
    """The scale of a unit: as it is for fractions, from the least to the largest item for log-likelihoods."""
    if unit == "frac":
        return Scale(unit)
    items = np.concatenate([*points])
    low, high = float(items.min()), float(items.max())
    return Scale(unit, low, (high - low) or 1.0)


def items_of(scores: TaskScores, base: TaskScores) -> Float[np.ndarray, " items"]:
    """One number an item, whose plain mean is the weighted mean of the task.

    Of a text every token counts. A resample of texts changes their number of tokens too, which moves sum over sum but
    not each of these numbers: they hold the ratio's first-order change around the base's mean.

    Args:
        scores: On a task.
        base: The untouched base on the same task.

    Raises:
        UnusableScores: If the items are others than those the base was asked.
    """
    if scores.ids != base.ids or scores.unit != base.unit:
        raise UnusableScores(
            f"'{scores.task}' was asked on other items, or scored in another unit, than on the untouched base "
            f"({len(scores.ids)} items in {scores.unit}, {len(base.ids)} in {base.unit}); score all on the same ones"
        )
    values, weights = np.array(scores.values, dtype=np.float64), np.array(scores.weights, dtype=np.float64)
    if (weights == weights[0]).all():
        return values
    centre = base.mean
    shifted: Float[np.ndarray, " items"] = centre + weights / weights.mean() * (values - centre)
    return shifted
