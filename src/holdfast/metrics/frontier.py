"""The frontier of stability against plasticity: who is beaten on both axes, and what area a set adds to the base.

A point is (target score, general score), both higher-better. One point dominates another if it is at least as good on
both axes and better on one, so equal points never dominate each other.
All functions of points take any number of leading axes and treat them as separate sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import Resamples
from holdfast.metrics.interval import Interval, interval
from holdfast.metrics.tradeoff import BASE, FORGETTING, GAIN, components, score

SURELY: Final = 0.975
"""Share of resamples from which on the base is said to dominate for sure."""

Reference = tuple[float, float]


def non_dominated(points: ArrayLike) -> Bool[np.ndarray, "*sets points"]:
    """Which points of a set no other point dominates; of equal points all or none, in O(n log n)."""
    target, general = _axes(points)
    order = np.lexsort((-general, -target), axis=-1)
    target = np.take_along_axis(target, order, axis=-1)
    general = np.take_along_axis(general, order, axis=-1)
    # From the best target downwards, a new point is on the frontier exactly when its general score is a record.
    records = np.maximum.accumulate(general, axis=-1)
    is_record = np.ones(general.shape, dtype=bool)
    is_record[..., 1:] = general[..., 1:] > records[..., :-1]
    holder = np.maximum.accumulate(np.where(is_record, np.arange(general.shape[-1]), 0), axis=-1)
    kept = (general == records) & (target == np.take_along_axis(target, holder, axis=-1))
    mask: Bool[np.ndarray, "*sets points"] = np.empty_like(kept)
    np.put_along_axis(mask, order, kept, axis=-1)
    return mask


def dominated_by(points: ArrayLike, point: ArrayLike) -> Bool[np.ndarray, "*sets points"]:
    """Which points of a set one point dominates."""
    target, general = _axes(points)
    by_target, by_general = np.moveaxis(np.asarray(point, dtype=np.float64)[..., np.newaxis, :], -1, 0)
    at_least = (by_target >= target) & (by_general >= general)
    mask: Bool[np.ndarray, "*sets points"] = at_least & ((by_target > target) | (by_general > general))
    return mask


def hypervolume(points: ArrayLike, reference: Reference | None = None) -> Float[np.ndarray, "*sets"]:
    """Area between a reference point and the frontier of a set, in the product of the units of the axes.

    Args:
        points: Points not above the reference on both axes add nothing.
        reference: The corner from which area is counted; it is part of the result and belongs in the recipe.
            (0, 0) when left out, which is refused for negative scores such as log-likelihoods: then it must be given.

    Returns:
        One area a set; 0 for a set without points.
    """
    target, general = _axes(points)
    corner_target, corner_general = _corner(target, general, reference)
    # Of equal targets the best comes first, so that what it dominates adds exactly nothing.
    order = np.lexsort((-general, -target), axis=-1)
    width = np.maximum(np.take_along_axis(target, order, axis=-1) - corner_target, 0.0)
    height = np.maximum(np.take_along_axis(general, order, axis=-1), corner_general)
    # Sum over the frontier of (T_i - r_T) (G_i - max(r_G, G_{i-1})); points off the frontier raise no record.
    records = np.maximum.accumulate(height, axis=-1)
    steps = np.diff(records, axis=-1, prepend=corner_general)
    return np.asarray((width * steps).sum(axis=-1))


def added_area(points: ArrayLike, base: ArrayLike, reference: Reference | None = None) -> Float[np.ndarray, "*sets"]:
    """Area that a set adds to that of the base: exactly 0 for a set that the base dominates throughout.

    The best of many noisy points looks better than it is, so compare sets of equally many points, chosen on other
    data than those that place them here.

    Args:
        points: The set.
        base: The point of the untouched base.
        reference: As in `hypervolume`.

    Returns:
        One area a set, never below 0.
    """
    added = np.asarray(points, dtype=np.float64)
    alone = np.broadcast_to(np.asarray(base, dtype=np.float64)[..., np.newaxis, :], (*added.shape[:-2], 1, 2))
    both = np.concatenate([added, alone], axis=-2)
    corner = _corner(*_axes(both), reference)
    return np.asarray(np.maximum(hypervolume(both, corner) - hypervolume(alone, corner), 0.0))


@dataclass(frozen=True)
class Standing:
    """Where an entrant stands among all others and against the base.

    Attributes:
        on_frontier: Whether nobody dominates it, in the data as they are.
        non_dominated_frac: Share of resamples in which nobody dominates it.
        dominated_by_base_frac: Share of resamples in which the base does.
        added_area: Area that it alone adds to the base, in the data as they are.
        added_area_spread: Percentile interval of that area.
    """

    on_frontier: bool
    non_dominated_frac: float
    dominated_by_base_frac: float
    added_area: float
    added_area_spread: Interval

    @property
    def surely_dominated(self) -> bool:
        """Whether the base dominates it in at least 97.5 % of the resamples."""
        return self.dominated_by_base_frac >= SURELY


@dataclass(frozen=True)
class Standings:
    """Everybody's standing.

    Attributes:
        of: Entrant -> standing, the base included.
        left_out: Entrant -> why it has no place on the plane.
    """

    of: Mapping[str, Standing]
    left_out: Mapping[str, str]


def frontier_shares(resamples: Resamples, reference: Reference | None = None, level: float = 0.95) -> Standings:
    """Frontier and added areas of all entrants, recomputed in every resample.

    Args:
        resamples: From `bootstrap.resample`, on data that had no part in choosing the entrants.
        reference: As in `hypervolume`.
        level: Of the intervals of the areas.

    Returns:
        The standings. An entrant without gain or forgetting is left out, with the reason, and dominates nobody.
    """
    measured, left_out = [BASE], {}
    for entrant in resamples.entrants[1:]:
        try:
            components(resamples.benchmarks, entrant, GAIN)
            components(resamples.benchmarks, entrant, FORGETTING)
        except NotMeasurable as reason:
            left_out[entrant] = str(reason)
        else:
            measured.append(entrant)
    places, draws = _points(resamples, measured)
    corner = _corner(places[:, 0], places[:, 1], reference)
    base, base_draws = places[0], draws[:, 0]
    on_frontier = non_dominated(places)
    kept_frac = non_dominated(draws).mean(axis=0)
    lost_frac = dominated_by(draws, base_draws).mean(axis=0)
    areas = added_area(places[:, np.newaxis], base, corner)
    area_draws = added_area(draws[:, :, np.newaxis], base_draws[:, np.newaxis], corner)
    return Standings(
        of={
            entrant: Standing(
                on_frontier=bool(on_frontier[i]),
                non_dominated_frac=float(kept_frac[i]),
                dominated_by_base_frac=float(lost_frac[i]),
                added_area=float(areas[i]),
                added_area_spread=interval(area_draws[:, i], float(areas[i]), level),
            )
            for i, entrant in enumerate(measured)
        },
        left_out=left_out,
    )


def added_area_interval(
    resamples: Resamples, entrants: Sequence[str], reference: Reference | None = None, level: float = 0.95
) -> tuple[float, Interval]:
    """Area that several entrants together, such as all points of one method, add to the base; and its interval."""
    places, draws = _points(resamples, [BASE, *entrants])
    corner = _corner(places[:, 0], places[:, 1], reference)
    area = float(added_area(places[1:], places[0], corner))
    return area, interval(added_area(draws[:, 1:], draws[:, 0], corner), area, level)


def _points(
    resamples: Resamples, entrants: Sequence[str]
) -> tuple[Float[np.ndarray, "entrants 2"], Float[np.ndarray, "resamples entrants 2"]]:
    """Points of the entrants in the data as they are, and in every resample."""
    data = resamples.benchmarks
    places = [[score(data, entrant, "learn"), score(data, entrant, "keep")] for entrant in entrants]
    draws = [[resamples.scores(entrant, "learn"), resamples.scores(entrant, "keep")] for entrant in entrants]
    return np.array(places), np.moveaxis(np.array(draws), -1, 0)


def _axes(points: ArrayLike) -> tuple[Float[np.ndarray, "*sets points"], Float[np.ndarray, "*sets points"]]:
    """The two axes, once it is certain that there are two and that all scores can be ordered."""
    array = np.asarray(points, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != 2:
        raise ValueError(f"points are pairs (target, general), found shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("points must be finite to be compared")
    return array[..., 0], array[..., 1]


def _corner(target: np.ndarray, general: np.ndarray, reference: Reference | None) -> Reference:
    if reference is not None:
        return reference
    if (target < 0).any() or (general < 0).any():
        raise ValueError("some scores are negative, as log-likelihoods are: state the reference point for areas")
    return 0.0, 0.0
