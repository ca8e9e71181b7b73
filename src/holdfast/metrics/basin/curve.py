"""The score of an ability at every distance of a grid, with its spread over directions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from jaxtyping import Float
from scipy import stats

from holdfast.core.basin import BasinCurve, Level
from holdfast.core.record import Record
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.metrics.basin.questions import is_strict
from holdfast.metrics.interval import ROUNDING
from holdfast.metrics.significance import holm, seed_interval

BAND: Final = (0.05, 0.95)
RISE_ERROR: Final = 0.05
"""Chance of calling any rise of a curve one that noise does not explain, at most (to the accuracy of Student's t)."""


def curve(
    evaluations: Evaluations,
    sigmas: Sequence[float],
    seeds: Sequence[int],
    *,
    ability: str = "",
    direction: str = "random",
    tolerance: float = 0.05,
    share: float = 0.9,
    margin: float = 0.0,
    chance: float = 0.0,
    smooth: bool = False,
    ask_again: bool = True,
) -> BasinCurve:
    """Ask every item at every distance, along the same directions.

    Args:
        evaluations: Scores of the model.
        sigmas: Distances, all above 0; their order does not matter.
        seeds: Directions; 16 or more for a band that means something, 1 for a direction that is not random.
        ability: Name of the task.
        direction: Kind of direction.
        tolerance: Mean drop up to which the soft width goes.
        share: Share of strict directions up to which the strict width goes.
        margin: How much less than the base a strict direction may score.
        chance: Score of a guess that knows nothing.
        smooth: Whether scores are likelihoods.
        ask_again: Whether the untouched model is asked twice, to see whether it answers alike.

    Returns:
        The curve.

    Raises:
        ValueError: If there are no distances or no directions, or one occurs twice.
    """
    if not sigmas or not seeds:
        raise ValueError(f"a curve needs distances and directions, found {len(sigmas)} and {len(seeds)}")
    if len(set(sigmas)) < len(sigmas) or len(set(seeds)) < len(seeds):
        raise ValueError("a curve needs every distance and every direction once, found one twice")
    ascending = sorted(sigmas)
    base = float(evaluations.base().mean())
    levels = tuple(_level(evaluations, sigma, seeds, margin) for sigma in ascending)
    drops = np.array([base - level.mean for level in levels])
    misses = np.array([1 - level.strict_share for level in levels])
    return BasinCurve(
        ability=ability,
        direction=direction,
        base=base,
        chance=chance,
        margin=margin,
        items=evaluations.items,
        smooth=smooth,
        self_noise=evaluations.self_noise() if ask_again else None,
        levels=levels,
        rises=tuple(rises(ascending, np.array([level.scores for level in levels]))),
        soft_width=width_on_grid(ascending, drops, tolerance, (direction, "soft basin width", ability)),
        strict_width=width_on_grid(ascending, misses, 1 - share, (direction, "strict basin width", ability)),
    )


def width_on_grid(
    sigmas: Sequence[float],
    losses: Float[np.ndarray, " sigmas"],
    tolerance: float,
    called: tuple[str, str, str] = ("", "basin width", ""),
) -> Record:
    """The distance up to which a loss stays within a tolerance at every distance, between grid points in log sigma.

    Args:
        sigmas: Distances, ascending.
        losses: What is lost at each: a mean drop, or a share of directions.
        tolerance: What may be.
        called: Subject, quantity and site of the record.

    Returns:
        The width, or the reason why it lies beyond the grid.
    """
    subject, quantity, site = called
    beyond = np.flatnonzero(losses > tolerance + ROUNDING)
    if not beyond.size:
        reason = f"wider than the grid: the loss is within {tolerance:.4g} up to sigma {sigmas[-1]:.4g}; go further out"
    elif beyond[0] == 0:
        reason = (
            f"narrower than the grid: the loss is beyond {tolerance:.4g} at sigma {sigmas[0]:.4g}; start further in"
        )
    else:
        at = int(beyond[0])
        part = (tolerance - losses[at - 1]) / (losses[at] - losses[at - 1])
        value = sigmas[at - 1] * (sigmas[at] / sigmas[at - 1]) ** float(np.clip(part, 0, 1))
        return Record(subject=subject, quantity=quantity, site=site, value=value, unit="sigma")
    return Record(subject=subject, quantity=quantity, site=site, reason=reason, unit="sigma")


def rises(sigmas: Sequence[float], scores: Float[np.ndarray, "sigmas directions"]) -> list[tuple[float, float]]:
    """Neighbouring distances between which the score rises, in pairs over directions, by more than noise explains.

    With a single direction there is no telling, and the list is empty.
    """
    if scores.shape[1] < 2:
        return []
    steps = np.diff(scores, axis=0)
    means, errors = steps.mean(axis=1), steps.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    # Steps that are alike in all directions have no error to divide by: risen is risen.
    t = np.divide(means, errors, out=np.where(means > ROUNDING, np.inf, -np.inf), where=errors > ROUNDING)
    p_values = holm(stats.t.sf(t, scores.shape[1] - 1))
    return [pair for pair, p in zip(pairwise(sigmas), p_values, strict=True) if p <= RISE_ERROR]


def design_effect(scores: Float[np.ndarray, "directions items"]) -> float | None:
    """How many times more a direction's mean varies than that of items with a direction each.

    Items that share a direction are answered alike, so that a test which counts them as trials errs by this factor in
    variance. 1 means that they are independent.

    Returns:
        The ratio of the variance of means over directions to the mean variance of an item over items; none where
        nothing varies or there is a single direction.
    """
    if len(scores) < 2:
        return None
    alone = float(scores.var(axis=0, ddof=1).mean()) / scores.shape[1]
    return float(scores.mean(axis=1).var(ddof=1)) / alone if alone > ROUNDING else None


def _level(evaluations: Evaluations, sigma: float, seeds: Sequence[int], margin: float) -> Level:
    table = np.stack([evaluations.scores(sigma, seed) for seed in seeds])
    base, means = float(evaluations.base().mean()), table.mean(axis=1)
    several = len(seeds) > 1
    low, high = np.quantile(means, BAND)
    return Level(
        sigma=sigma,
        seeds=tuple(seeds),
        scores=tuple(means.tolist()),
        mean=float(means.mean()),
        spread=tuple(seed_interval(means)) if several else None,
        band=(float(low), float(high)) if several else None,
        strict_share=float(np.mean([is_strict(base - mean, margin) for mean in means])),
        design_effect=design_effect(table),
    )
