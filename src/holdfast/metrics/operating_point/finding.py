"""A quantity with its paired interval, or the reason why it has none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import Resamples, paired_interval
from holdfast.metrics.interval import Interval


@dataclass(frozen=True)
class Finding:
    """A number with an interval over items.

    Attributes:
        value: The number in the data as they are; absent where it is not defined.
        spread: Its interval; absent where the value is, or where no honest interval can be given.
        reason: Why something is absent.
    """

    value: float | None
    spread: Interval | None
    reason: str | None = None


def find_difference(resamples: Resamples, one: str, other: str, quantity: str, level: float) -> Finding:
    """One entrant minus another in a quantity, or why that is not defined.

    Args:
        resamples: From `bootstrap.resample`.
        one: Who is compared.
        other: With whom; the base for gain and forgetting themselves.
        quantity: ``gain`` or ``forgetting``.
        level: Of the interval.

    Returns:
        The finding.
    """
    try:
        contrast = paired_interval(resamples, one, other, quantity, level)
    except NotMeasurable as undefined:
        return Finding(None, None, str(undefined))
    return Finding(contrast.value, contrast.spread)


def find_share(resamples: Resamples, part: str, whole: str, quantity: str, level: float) -> Finding:
    """The quantity of one entrant as a share of that of another, with Fieller's interval.

    Undefined unless the whole is above 0. Without an interval unless the whole is so beyond noise: a denominator that
    may as well be 0 makes the share anything.

    Args:
        resamples: From `bootstrap.resample`; variances and covariance are those of its draws.
        part: Whose quantity is above the line.
        whole: Whose is below.
        quantity: ``gain`` or ``forgetting``.
        level: Of the interval.

    Returns:
        The finding.
    """
    try:
        top, bottom = (resamples.estimate(entrant, quantity) for entrant in (part, whole))
        draws = np.stack([resamples.draws(entrant, quantity) for entrant in (part, whole)])
    except NotMeasurable as undefined:
        return Finding(None, None, str(undefined))
    if bottom <= 0:
        return Finding(None, None, f"undefined: a share of the final {quantity}, {bottom:+.4f}, which is not above 0")
    share = top / bottom
    reach = NormalDist().inv_cdf((1 + level) / 2)
    (top_square, product), (_, bottom_square) = reach**2 * np.cov(draws, ddof=0)
    # Fieller 1954: the shares r for which top - r bottom may be 0, the ends of which solve a r^2 - 2 b r + c = 0.
    a, b, c = bottom**2 - bottom_square, top * bottom - product, top**2 - top_square
    if a <= 0:
        return Finding(share, None, f"no interval: the final {quantity}, {bottom:+.4f}, may as well be 0")
    half = math.sqrt(max(0.0, b**2 - a * c))
    return Finding(share, Interval(float((b - half) / a), float((b + half) / a)))
