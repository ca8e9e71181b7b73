"""Limits of a mean of scores in [0, 1] that hold at any time of looking: the means on which betting has not won."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from jaxtyping import Float

from holdfast.metrics.basin.sequential import Betting
from holdfast.metrics.interval import Interval, check_level

_HALVINGS: Final = 60


def mean_limit(
    trials: Float[np.ndarray, " n"], level: float = 0.99, side: Literal["lower", "upper"] = "lower"
) -> float:
    """What the mean of scores in [0, 1] exceeds (or stays below), at the level and at any time of looking.

    Args:
        trials: One score a direction, independent.
        level: Share of repetitions in which the limit is right at all times, at least.
        side: Which limit.

    Returns:
        The largest mean that is refuted as too small; 0 if none is. For the upper limit the mirror image.

    Raises:
        ValueError: If there are no trials, one lies outside of [0, 1], or the level is not within 0 and 1.
    """
    check_level(level)
    given: Float[np.ndarray, " n"] = np.asarray(trials, np.float64)
    if given.size == 0:
        raise ValueError("a limit of a mean needs at least one direction, found none")
    if side == "upper":
        return 1 - mean_limit(1 - given, level)
    low, high = 0.0, float(given.mean())
    # The capital against a mean falls as that mean rises, so halving finds where it is just enough.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle > 0 and Betting(middle).evidence(given)[0][-1] >= -np.log1p(-level):
            low = middle
        else:
            high = middle
    return low


def mean_interval(trials: Float[np.ndarray, " n"], level: float = 0.95) -> Interval:
    """An interval of the mean that holds at any time of looking: both limits, half the error each."""
    one_sided = (1 + level) / 2
    return Interval(mean_limit(trials, one_sided), mean_limit(trials, one_sided, "upper"))
