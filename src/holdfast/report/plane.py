"""Where everything lies on the plane of what was kept and what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison, PointResult, Span

MARGIN_FRAC = 0.07
"""Room around the outermost points, as a share of their extent."""


@dataclass(frozen=True)
class Dot:
    """One entrant, or the base.

    Attributes:
        point: Whose.
        kept: Mean score on what was to be kept: to the right is better.
        target: Mean score on what was to be learned: up is better.
        kept_span: Interval of forgetting, laid from the base's score.
        target_span: Interval of gain, laid from the base's score.
    """

    point: PointResult
    kept: float
    target: float
    kept_span: Span
    target_span: Span


@dataclass(frozen=True)
class Plane:
    """The trade-off, ready to be drawn.

    Attributes:
        base: The untouched base.
        dots: Every entrant that has a result, in the order of the recipe.
        paths: Entrant -> its checkpoints as (kept, target): their changes on validation items, laid from the base.
        best: Entrant -> where its runs are when they are rewound to their best points, as (kept, target); only where
            some run is.
        stairs: Corners of the frontier of the base and the ranked entrants, from the bottom right to the top left.
        kept_range: Extent of the axis to the right.
        target_range: Extent of the axis upwards.
    """

    base: Dot
    dots: tuple[Dot, ...]
    paths: Mapping[str, tuple[tuple[float, float], ...]]
    best: Mapping[str, tuple[float, float]]
    stairs: tuple[tuple[float, float], ...]
    kept_range: Span
    target_range: Span


def plane_of(comparison: Comparison) -> Plane:
    """The places of everybody on the plane."""
    origin = comparison.point(BASE)
    dots = [dot for point in comparison.points if (dot := _dot(point, origin)) is not None]
    base, entrants = dots[0], tuple(dots[1:])
    paths = {dot.point.name: path for dot in entrants if (path := _path(dot.point, base))}
    kept = [value for dot in dots for value in (dot.kept, *dot.kept_span)]
    target = [value for dot in dots for value in (dot.target, *dot.target_span)]
    best = {dot.point.name: place for dot in entrants if (place := _best(dot.point)) is not None}
    for path in (*paths.values(), tuple(best.values())):
        kept += [x for x, _ in path]
        target += [y for _, y in path]
    kept_range, target_range = extent(kept), extent(target)
    return Plane(base, entrants, paths, best, _stairs(dots, kept_range[0], target_range[0]), kept_range, target_range)


def _best(point: PointResult) -> tuple[float, float] | None:
    found = point.rewound
    return None if found is None or found.left == len(found.t) else (found.kept_score, found.target_score)


def extent(values: Sequence[float], margin_frac: float = MARGIN_FRAC) -> Span:
    """The extent of an axis on which these values have some room around them."""
    low, high = min(values), max(values)
    room = margin_frac * (high - low) or 0.05
    return low - room, high + room


def _dot(point: PointResult, base: PointResult) -> Dot | None:
    if point.kept_score is None or point.target_score is None or base.kept_score is None or base.target_score is None:
        return None
    # An interval is that of a change; on the plane it stands where the change leads from the base.
    lost_low, lost_high = point.forgetting_interval or (0.0, 0.0)
    gained_low, gained_high = point.gain_interval or (0.0, 0.0)
    return Dot(
        point=point,
        kept=point.kept_score,
        target=point.target_score,
        kept_span=(base.kept_score - lost_high, base.kept_score - lost_low),
        target_span=(base.target_score + gained_low, base.target_score + gained_high),
    )


def _path(point: PointResult, base: Dot) -> tuple[tuple[float, float], ...]:
    """From the base through the checkpoints; empty where there are none, or the base has no validation scores."""
    if not point.curve or not base.point.curve:
        return ()
    start = base.point.curve[0]
    steps = ((base.kept + at.kept - start.kept, base.target + at.target - start.target) for at in point.curve)
    return ((base.kept, base.target), *steps)


def _stairs(dots: Sequence[Dot], left: float, bottom: float) -> tuple[tuple[float, float], ...]:
    frontier = sorted({(dot.kept, dot.target) for dot in dots if dot.point.on_frontier}, reverse=True)
    corners: list[tuple[float, float]] = []
    height = bottom
    for kept, target in frontier:
        corners += [(kept, height), (kept, target)]
        height = target
    return (*corners, (left, height)) if corners else ()
