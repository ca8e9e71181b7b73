"""Whether a difference could be chance: p-values, their correction for many comparisons, and classical intervals."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.interval import ROUNDING, Interval, check_level

MOST_ITEMS_FOR_EXACT_FLIPS: Final = 12
CELLS_AT_ONCE: Final = 2**21


def holm(p_values: ArrayLike) -> Float[np.ndarray, " comparisons"]:
    """P-values adjusted for being many (Holm 1979).

    Call significant what is at or below the level, and the chance of any false alarm at all stays below it, however the
    comparisons depend on each other.

    Args:
        p_values: One a comparison.

    Returns:
        The adjusted p-values, in the same order.

    Raises:
        ValueError: If one is not within 0 and 1.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    if raw.ndim != 1 or not ((raw >= 0) & (raw <= 1)).all():
        raise ValueError(f"p-values lie within 0 and 1, one a comparison, found {raw.tolist()}")
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def sign_flip_p(differences: ArrayLike, resamples: int = 10_000, seed: int = 0) -> float:
    """Chance of a sum at least this far from 0 if each item's difference might as well have had the other sign.

    Needs no large sample, so it stands beside the bootstrap on small benchmarks. It is a test of "the two models are
    interchangeable on every item", and it sees items alone: average over the seeds first.
    Exact up to 12 items that differ; beyond that by random flips, of which the data as they are count as one.

    Args:
        differences: Signed difference of two models an item, or what each item adds to a mean (`tradeoff.item_shares`).
        resamples: How many random flips, where not all can be tried.
        seed: Seed of the flips.

    Returns:
        The two-sided p-value; 1 when no item differs.

    Raises:
        ValueError: If there are no differences or some are not finite.
    """
    given = np.asarray(differences, dtype=np.float64)
    if given.ndim != 1 or given.size == 0 or not np.isfinite(given).all():
        raise ValueError(f"sign flips need a list of finite differences, found shape {given.shape}")
    # An item without a difference is the same after a flip.
    moved = given[given != 0]
    if moved.size == 0:
        return 1.0
    # Flips that give the same sum must count as ties whatever the order of summation.
    bar = abs(moved.sum()) - ROUNDING * np.abs(moved).sum()
    if moved.size <= MOST_ITEMS_FOR_EXACT_FLIPS:
        patterns = np.arange(2**moved.size)[:, np.newaxis] >> np.arange(moved.size) & 1
        return float((np.abs((2 * patterns - 1) @ moved) >= bar).mean())
    return (1 + _random_flips_beyond(bar, moved, resamples, seed)) / (1 + resamples)


def bootstrap_p(draws: Float[np.ndarray, " resamples"]) -> float:
    """Smallest 1 - level at which the percentile interval of the draws leaves out 0.

    Unlike `sign_flip_p` it covers whatever was resampled, training seeds included.

    Args:
        draws: The difference in every resample.

    Returns:
        The two-sided p-value, no smaller than 2 / (draws + 1).
    """
    slack = ROUNDING * float(np.abs(draws).max())
    beyond = min(np.count_nonzero(draws <= slack), np.count_nonzero(draws >= -slack))
    return min(1.0, 2 * (1 + beyond) / (1 + draws.size))


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Interval of one proportion (Clopper and Pearson 1934), which holds the truth at least as often as it says.

    Args:
        successes: How many succeeded.
        n: Out of how many.
        level: Share of repetitions in which such an interval should hold the truth.

    Returns:
        The interval, within 0 and 1.

    Raises:
        ValueError: If the counts are impossible or the level is not within 0 and 1.
    """
    check_level(level)
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"a proportion needs 0 <= successes <= n and n > 0, found {successes} of {n}")
    bounds = stats.binomtest(successes, n).proportion_ci(confidence_level=level, method="exact")
    return Interval(float(bounds.low), float(bounds.high))


def seed_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's interval of the mean over training seeds, for one value a seed; items count as fixed.

    Args:
        values: One a seed.
        level: Share of repetitions in which such an interval should hold the truth.

    Returns:
        The interval, centred on the mean.

    Raises:
        NotMeasurable: If there is a single seed, from which nothing can be said of others.
        ValueError: If values are not finite or the level is not within 0 and 1.
    """
    check_level(level)
    by_seed = np.asarray(values, dtype=np.float64)
    if by_seed.ndim != 1 or not np.isfinite(by_seed).all():
        raise ValueError(f"a seed interval needs one finite value a seed, found {by_seed.tolist()}")
    if by_seed.size < 2:
        raise NotMeasurable(f"undefined: an interval over seeds needs at least two, found {by_seed.size}")
    half = float(stats.t.ppf((1 + level) / 2, by_seed.size - 1) * by_seed.std(ddof=1) / np.sqrt(by_seed.size))
    mean = float(by_seed.mean())
    return Interval(mean - half, mean + half)


def _random_flips_beyond(bar: float, moved: Float[np.ndarray, " items"], resamples: int, seed: int) -> int:
    """How many of the random sign patterns give a sum at least ``bar`` from 0."""
    generator = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // moved.size)
    beyond = 0
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        bits = generator.integers(256, size=(rows, -(-moved.size // 8)), dtype=np.uint8)
        flips = 2.0 * np.unpackbits(bits, axis=1, count=moved.size) - 1.0
        beyond += int(np.count_nonzero(np.abs(flips @ moved) >= bar))
    return beyond
