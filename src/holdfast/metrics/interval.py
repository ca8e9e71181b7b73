"""How far an estimate may be off, read from its bootstrap draws."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from holdfast.metrics.tradeoff import Benchmark

FEWEST_ITEMS_FOR_BCA: Final = 30
ROUNDING: Final = 1e-12
"""Differences below this share of the numbers at hand are rounding, not data."""


class Interval(NamedTuple):
    """Lower and upper end of an interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside, by more than rounding: what "better" and "worse" must rest on."""
        slack = ROUNDING * max(abs(self.low), abs(self.high))
        return self.low > slack or self.high < -slack


def interval(
    draws: Float[np.ndarray, " resamples"],
    estimate: float,
    level: float = 0.95,
    acceleration: float | None = None,
) -> Interval:
    """The interval that holds the middle ``level`` of the draws, bias-corrected and accelerated where that is possible.

    Without an acceleration it is the percentile interval. With one it is BCa (Efron 1987, equation 3.10), which falls
    back to percentiles where BCa has no answer: all draws on one side of the estimate, or a correction beyond its pole.

    Args:
        draws: The estimate in every resample.
        estimate: The estimate from the data as they are.
        level: Share of repetitions in which such an interval should hold the truth.
        acceleration: From `acceleration_of`; none for percentiles.

    Returns:
        The interval; a point when all draws agree.

    Raises:
        ValueError: If there are no draws, some are not finite, or the level is not within 0 and 1.
    """
    check_level(level)
    if draws.size == 0 or not np.isfinite(draws).all():
        raise ValueError(f"an interval needs at least one draw and finite draws, found {draws.size} draws")
    tails = (1 - level) / 2, (1 + level) / 2
    if acceleration is not None:
        tails = _bca_tails(tails, _share_below(draws, estimate), acceleration)
    low, high = np.quantile(draws, tails)
    return Interval(float(low), float(high))


def acceleration_of(
    influence: Float[np.ndarray, " items"],
    draws: Float[np.ndarray, " resamples"],
) -> float:
    """How fast the standard error of an estimate changes with the truth: a sixth of its skewness.

    The third moment is the items', from the jackknife. The variance is that of the draws, which for items alone is the
    jackknife's own up to simulation noise, and which also counts the seeds where they are resampled: the skewness of
    three or five seeds cannot be known, so they are taken as symmetric and merely dilute that of the items.

    Args:
        influence: What each item contributes, from `influence_of`; concatenated over independent benchmarks for a mean
            over several, with the factor of each (Davison and Hinkley 1997, section 5.3.2 for several samples).
        draws: The estimate in every resample.

    Returns:
        The acceleration; 0 when all draws agree.
    """
    variance = float(draws.var())
    if variance <= (ROUNDING * float(np.abs(draws).max())) ** 2:
        return 0.0
    return float((influence**3).sum() / (6 * variance**1.5))


def influence_of(benchmark: Benchmark, entrant: str) -> Float[np.ndarray, " items"]:
    """Jackknife influence of each item on the difference of an entrant and the base, divided by the number of items.

    The squares add up to the variance of the difference over items, but for a factor (n - 1) / n.

    Args:
        benchmark: One with at least two items.
        entrant: Who is compared with the base; the mean over its seeds is.

    Returns:
        One number an item.
    """
    weights, items = benchmark.weights, benchmark.base.size
    shift = weights * (benchmark.scores(entrant).mean(axis=0) - benchmark.base)
    without = (shift.sum() - shift) / (weights.sum() - weights)
    influence: Float[np.ndarray, " items"] = (items - 1) / items * (without.mean() - without)
    return influence


def check_level(level: float) -> None:
    """Refuse a confidence level that is not strictly within 0 and 1.

    Raises:
        ValueError: If it is not.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies strictly within 0 and 1, such as 0.95, found {level}")


def _share_below(draws: Float[np.ndarray, " resamples"], estimate: float) -> float:
    """Share of the draws below the estimate, ties counting half."""
    # Means of graded answers lie on a lattice, so that ties are common, and rounding must not break them.
    slack = ROUNDING * max(float(np.abs(draws).max()), abs(estimate))
    below = np.count_nonzero(draws < estimate - slack)
    above = np.count_nonzero(draws > estimate + slack)
    return (below + draws.size - above) / (2 * draws.size)


def _bca_tails(tails: tuple[float, float], share_below: float, acceleration: float) -> tuple[float, float]:
    """The tails of the draws to read instead of the plain ones; the plain ones where BCa has no answer."""
    if not 0 < share_below < 1:
        return tails
    normal = NormalDist()
    bias = normal.inv_cdf(share_below)
    shifted = [bias + normal.inv_cdf(tail) for tail in tails]
    if any(1 - acceleration * shift <= 0 for shift in shifted):
        return tails
    low, high = (normal.cdf(bias + shift / (1 - acceleration * shift)) for shift in shifted)
    return low, high
