"""Which of two models has the wider basin, on the same directions and the same items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from holdfast.core.basin import BasinCurve, Verdict
from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.curve import width_on_grid
from holdfast.metrics.basin.distance import check_sigma
from holdfast.metrics.basin.evaluations import Evaluations, panel
from holdfast.metrics.basin.mean_limits import mean_interval
from holdfast.metrics.basin.questions import ITEMS_A_DIRECTION
from holdfast.metrics.basin.sequential import Betting, decide
from holdfast.metrics.interval import Interval, interval

Model: TypeAlias = Literal["first", "second", "undecided"]

FEWEST_DIRECTIONS: Final = 5
_FEWEST_RESAMPLES_FRAC: Final = 0.95
_LOSES_LESS: Final[dict[Verdict, Model]] = {"inside": "first", "outside": "second", "undecided": "undecided"}


@dataclass(frozen=True)
class Duel:
    """Two models at one distance.

    Attributes:
        sigma: The distance.
        kept_better: Which model loses less there, or ``undecided``.
        difference: How much more the second one loses than the first.
        spread: Its interval, which holds at any time of looking.
        directions: From how many directions.
    """

    sigma: float
    kept_better: Model
    difference: float
    spread: Interval
    directions: int


def duel(
    first: Evaluations,
    second: Evaluations,
    sigma: float,
    *,
    error: float = 0.05,
    most_directions: int = 400,
    items_a_direction: int = ITEMS_A_DIRECTION,
    first_seed: int = 0,
) -> Duel:
    """Ask two models the same items along the same directions until it is clear which one loses less.

    Each is compared with itself as it is, so that the better base has no advantage.

    Args:
        first: One model.
        second: The other, of the same items.
        sigma: The distance, chosen before these directions are asked.
        error: Chance of naming a model that does not lose less, at most, for either of them.
        most_directions: After how many directions it is left undecided.
        items_a_direction: How many items a direction is asked.
        first_seed: Of the directions.

    Raises:
        ValueError: If sigma is not above 0, no directions are allowed, or the models answer different items.
    """
    check_sigma(sigma)
    if first.items != second.items:
        raise ValueError(f"two models are compared on the same items, found {first.items} and {second.items}")
    if most_directions < 1 or items_a_direction < 1:
        raise ValueError(
            f"a comparison needs directions and items, asked for {most_directions} directions of {items_a_direction}"
        )
    trials = list[float]()
    for seed in range(first_seed, first_seed + most_directions):
        asked = panel(seed, first.items, items_a_direction).tolist()
        # A difference of two drops lies within -2 and 2.
        trials.append((2 + second.drop(sigma, seed, asked) - first.drop(sigma, seed, asked)) / 4)
        decision = decide(Betting(0.5), np.array(trials), error)
        if decision.verdict != "undecided":
            break
    found = np.array(trials)
    low, high = mean_interval(found, 1 - 2 * error)
    return Duel(
        sigma=sigma,
        kept_better=_LOSES_LESS[decision.verdict],
        difference=float(4 * found.mean() - 2),
        spread=Interval(4 * low - 2, 4 * high - 2),
        directions=len(trials),
    )


@dataclass(frozen=True)
class WidthRatio:
    """How many times wider the second of two basins is.

    Attributes:
        value: The ratio of soft widths, read off the same grid.
        spread: Its interval over directions, drawn together for both models.
    """

    value: float
    spread: Interval


def width_ratio(
    first: BasinCurve, second: BasinCurve, tolerance: float = 0.05, level: float = 0.95, resamples: int = 2000
) -> WidthRatio:
    """How many times wider the second basin is, from two curves along the same directions.

    Directions are drawn with replacement, the same for both curves and at all distances.

    Args:
        first: One curve.
        second: The other, at the same distances and along the same directions.
        tolerance: Mean drop up to which a basin goes.
        level: Of the interval.
        resamples: How often directions are drawn.

    Returns:
        The ratio and its percentile interval.

    Raises:
        ValueError: If the curves have other distances or directions.
        NotMeasurable: If there are too few directions, or a width lies beyond the grid, in the data or in one of twenty
            resamples.
    """
    grids = [[(level.sigma, level.seeds) for level in curve.levels] for curve in (first, second)]
    if grids[0] != grids[1]:
        raise ValueError("two curves are compared in pairs: give both the same distances and the same directions")
    directions = len(grids[0][0][1])
    if directions < FEWEST_DIRECTIONS:
        raise NotMeasurable(
            f"undefined: an interval over directions needs at least {FEWEST_DIRECTIONS}, found {directions}"
        )
    sigmas = [sigma for sigma, _ in grids[0]]
    drops = [curve.base - np.array([level.scores for level in curve.levels]) for curve in (first, second)]
    value = _ratio(sigmas, drops, np.arange(directions), tolerance)
    if value is None:
        raise NotMeasurable("undefined: a width lies beyond the grid; take distances further in or further out")
    generator = np.random.default_rng(0)
    drawn = [
        _ratio(sigmas, drops, generator.integers(directions, size=directions), tolerance) for _ in range(resamples)
    ]
    ratios = np.array([ratio for ratio in drawn if ratio is not None])
    if ratios.size < _FEWEST_RESAMPLES_FRAC * resamples:
        raise NotMeasurable(
            f"undefined: with other directions a width often lies beyond the grid, in {resamples - ratios.size} of "
            f"{resamples} resamples; take distances further in or further out"
        )
    return WidthRatio(value, interval(ratios, value, level))


def _ratio(
    sigmas: list[float], drops: list[Float[np.ndarray, "sigmas directions"]], drawn: np.ndarray, tolerance: float
) -> float | None:
    first, second = (width_on_grid(sigmas, drop[:, drawn].mean(axis=1), tolerance).value for drop in drops)
    return None if first is None or second is None else second / first
