"""One number of a row with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual.resampling import Source
from holdfast.metrics.interval import Interval, interval
from holdfast.metrics.tradeoff import seed_mean


@dataclass(frozen=True)
class Number:
    """A number, how far it may be off, and of what.

    Attributes:
        value: The number; absent where it is not defined.
        spread: Its interval, where there is one.
        covers: What was drawn anew: ``items``, ``orders``, ``seeds``, ``runs``.
        unit: Of the value.
        reason: Why there is no number, or no interval.
    """

    value: float | None = None
    spread: Interval | None = None
    covers: tuple[str, ...] = ()
    unit: str = "frac"
    reason: str = ""

    @property
    def known(self) -> float:
        """The value, where it was seen to that there is one.

        Raises:
            NotMeasurable: If there is none; says why.
        """
        if self.value is None:
            raise NotMeasurable(self.reason)
        return self.value

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.spread is not None and self.spread.excludes_zero and self.spread.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.spread is not None and self.spread.excludes_zero and self.spread.high < 0


def undefined(reason: str) -> Number:
    """No number, and why."""
    return Number(reason=reason)


def levelled(by_run: Float[np.ndarray, "resamples runs"], sources: Sequence[Source]) -> Float[np.ndarray, " resamples"]:
    """Mean over the runs that were drawn, its deviation scaled as `SequenceDraws.draws` does.

    Args:
        by_run: A number a resample of the items and a run.
        sources: What runs differ in, with what was drawn.
    """
    centre = seed_mean(by_run)
    deviation = by_run - centre[:, np.newaxis]
    result: Float[np.ndarray, " resamples"] = centre.copy()
    for _, share, drawn_frac in sources:
        levels = len(share)
        result += np.sqrt(levels / (levels - 1)) * (drawn_frac * (deviation @ share.T)).sum(axis=1)
    return result


def spread_of(draws: Float[np.ndarray, " resamples"], value: float, level: float) -> Interval:
    """The bias-corrected interval of a number with these draws."""
    return interval(draws, value, level, acceleration=0.0)
