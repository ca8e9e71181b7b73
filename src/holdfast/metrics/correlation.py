"""How strongly a measure goes with an outcome over checkpoints, and how far that may be off.

A correlation describes; it proves no cause. It lies in [-1, 1], and it is undefined, never 0, where there are fewer
than three checkpoints or where one side is the same in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, TypeVar

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.cohort import Redraws, column_faults
from holdfast.metrics.interval import Interval, check_level, interval
from holdfast.metrics.tradeoff import UnusableScores
from holdfast.metrics.weighted_correlation import is_constant, scaled, weighted_correlation, weighted_midranks

FEWEST_CHECKPOINTS: Final = 3

Value = TypeVar("Value")


@dataclass(frozen=True)
class Estimate:
    """A correlation and what it could have been with other families and other checkpoints.

    Attributes:
        value: The correlation in the data as they are.
        spread: Its percentile interval over the redraws in which it is defined. A perfect order has no spread, however
            few the checkpoints: then only the p-value of a permutation tells how little that means.
        undefined_redraws: In how many it is not, because a column did not vary; many leave the interval in doubt.
    """

    value: float
    spread: Interval
    undefined_redraws: int


@dataclass(frozen=True)
class Undefined:
    """The reason why there is no number."""

    reason: str


def value_or_reason(compute: Callable[[], Value]) -> Value | Undefined:
    """What a computation gives, or why it is not defined."""
    try:
        return compute()
    except NotMeasurable as error:
        return Undefined(str(error))


def pearson(measure: ArrayLike, outcome: ArrayLike) -> float:
    """Pearson's r: how well a straight line describes the checkpoints, which one far-off checkpoint can bring about.

    Args:
        measure: One number a checkpoint.
        outcome: One number a checkpoint.

    Returns:
        The correlation.

    Raises:
        NotMeasurable: If there are fewer than three checkpoints or one side is constant.
    """
    one, other = _columns({"the measure": measure, "the outcome": outcome}, FEWEST_CHECKPOINTS).values()
    return float(weighted_correlation([scaled(one), scaled(other)], np.ones(one.size)))


def spearman(measure: ArrayLike, outcome: ArrayLike) -> float:
    """Spearman's rho: how well the order of the measure tells that of the outcome; ties share their mean rank."""
    return partial_spearman(measure, outcome, {})


def partial_spearman(measure: ArrayLike, outcome: ArrayLike, covariates: Mapping[str, ArrayLike]) -> float:
    """Spearman's rho with other quantities held fixed: what of it they do not account for.

    The correlation of what a straight line through the ranks of the covariates leaves of the ranks of both. A measure
    that loses its rho given the size of the update stands in for that size. Only monotone links are held fixed.

    Args:
        measure: One number a checkpoint.
        outcome: One number a checkpoint.
        covariates: Name -> one number a checkpoint.

    Returns:
        The partial correlation.

    Raises:
        NotMeasurable: If there are fewer than three checkpoints and one more a covariate, a column is constant, or the
            covariates leave nothing of the measure or of the outcome.
    """
    given = _given(covariates)
    named = {"the measure": measure, "the outcome": outcome, **covariates}
    columns = _columns(named, FEWEST_CHECKPOINTS + len(covariates), given)
    counts = np.ones(len(columns["the measure"]))
    rho = float(weighted_correlation([weighted_midranks(column, counts) for column in columns.values()], counts))
    if np.isnan(rho):
        raise NotMeasurable(f"undefined{given}: nothing is left of the order of the measure or of the outcome")
    return rho


def estimate_pearson(measure: Float[np.ndarray, " checkpoints"], redraws: Redraws, level: float = 0.95) -> Estimate:
    """Pearson's r of a measure and the outcome of a cohort, with its interval.

    Args:
        measure: One number a checkpoint.
        redraws: From `cohort.redraw`.
        level: Share of repetitions in which such an interval should hold the truth.

    Returns:
        The estimate.

    Raises:
        NotMeasurable: If r is undefined in the data or in all redraws.
    """
    value = pearson(measure, redraws.cohort.outcome)
    found = weighted_correlation([scaled(np.asarray(measure, np.float64)), redraws.outcome], redraws.counts)
    return _estimate(value, found, level)


def estimate_spearman(
    measure: Float[np.ndarray, " checkpoints"], redraws: Redraws, level: float = 0.95, given: Sequence[str] = ()
) -> Estimate:
    """Spearman's rho of a measure and the outcome of a cohort, with its interval.

    Args:
        measure: One number a checkpoint.
        redraws: From `cohort.redraw`.
        level: Share of repetitions in which such an interval should hold the truth.
        given: Names of the covariates to be held fixed.

    Returns:
        The estimate.

    Raises:
        NotMeasurable: If rho is undefined in the data or in all redraws.
    """
    cohort = redraws.cohort
    value = partial_spearman(measure, cohort.outcome, {name: cohort.covariates[name] for name in given})
    ranks = weighted_midranks(np.asarray(measure, np.float64), redraws.counts)
    held = [redraws.covariate_ranks[name] for name in given]
    found = weighted_correlation([ranks, redraws.outcome_ranks, *held], redraws.counts)
    return _estimate(value, found, level, _given(given))


def fisher_interval(r: float, checkpoints: int, level: float = 0.95) -> Interval:
    """What Pearson's r could have been, were all checkpoints independent and jointly normal (Fisher 1915).

    Checkpoints of one family are not independent, so this is the least doubt there can be: for published correlations
    whose checkpoints are not known.

    Args:
        r: The correlation.
        checkpoints: Over how many.
        level: Share of repetitions in which such an interval should hold the truth.

    Returns:
        The interval, within -1 and 1.

    Raises:
        NotMeasurable: If there are fewer than four checkpoints.
        ValueError: If r is no correlation or the level is not within 0 and 1.
    """
    check_level(level)
    if not -1 <= r <= 1:
        raise ValueError(f"a correlation lies within -1 and 1, found {r}")
    if checkpoints < 4:
        raise NotMeasurable(f"undefined: Fisher's interval needs at least 4 checkpoints, found {checkpoints}")
    if abs(r) == 1:
        return Interval(r, r)
    half = NormalDist().inv_cdf((1 + level) / 2) / np.sqrt(checkpoints - 3)
    return Interval(float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half)))


def _estimate(value: float, found: Float[np.ndarray, " redraws"], level: float, given: str = "") -> Estimate:
    defined = found[~np.isnan(found)]
    if defined.size == 0:
        raise NotMeasurable(f"undefined{given}: in none of {found.size} redraws do all columns vary")
    return Estimate(value, interval(defined, value, level), found.size - defined.size)


def _given(covariates: Collection[str]) -> str:
    return f" given {' and '.join(covariates)}" if covariates else ""


def _columns(
    named: Mapping[str, ArrayLike], fewest: int, given: str = ""
) -> dict[str, Float[np.ndarray, " checkpoints"]]:
    """Columns that vary over enough checkpoints for a correlation."""
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
    checkpoints = columns["the measure"].size
    if faults := column_faults(columns, checkpoints):
        raise UnusableScores("; ".join(faults))
    if checkpoints < fewest:
        raise NotMeasurable(f"undefined{given}: needs at least {fewest} checkpoints, found {checkpoints}")
    for name, column in columns.items():
        if is_constant(column):
            raise NotMeasurable(f"undefined{given}: {name} is {column[0]:.6g} in all {checkpoints} checkpoints")
    return columns
