"""How the scores moved from step to step, on an axis where the checkpoints are spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison, PointResult

MOST_TICKS = 8


@dataclass(frozen=True)
class Line:
    """One entrant.

    Attributes:
        point: Whose.
        steps: Optimizer steps; the first is 0, the untouched base, where that was scored too.
        places: Where the steps stand on the axis.
        kept: Mean score on what was to be kept.
        target: Mean score on what was to be learned.
    """

    point: PointResult
    steps: tuple[int, ...]
    places: tuple[float, ...]
    kept: tuple[float, ...]
    target: tuple[float, ...]


@dataclass(frozen=True)
class Course:
    """All lines, ready to be drawn.

    Attributes:
        lines: The entrants that have checkpoints.
        ticks: Step -> its place on the axis, for the steps to be written there.
        base_kept: Score of the untouched base on what was to be kept.
        base_target: Score of the untouched base on what was to be learned.
    """

    lines: tuple[Line, ...]
    ticks: dict[int, float]
    base_kept: float | None
    base_target: float | None


def course_of(comparison: Comparison) -> Course:
    """The lines of everybody; the axis is logarithmic, and step 0 stands as far before the first as that needs."""
    curves = {p.name: p for p in comparison.points if p.curve and p.name != BASE}
    steps = sorted({at.step for point in curves.values() for at in point.curve if at.step > 0})
    start = comparison.point(BASE).curve[:1]
    places = {step: log10(step) for step in steps}
    if steps:
        places[0] = places[steps[0]] - _first_gap(steps)
    lines = []
    for point in curves.values():
        known = [at for at in (*start, *point.curve) if at.step in places]
        lines.append(
            Line(
                point=point,
                steps=tuple(at.step for at in known),
                places=tuple(places[at.step] for at in known),
                kept=tuple(at.kept for at in known),
                target=tuple(at.target for at in known),
            )
        )
    return Course(
        lines=tuple(lines),
        ticks=_ticks(places, with_base=bool(start)),
        base_kept=start[0].kept if start else None,
        base_target=start[0].target if start else None,
    )


def _first_gap(steps: Sequence[int]) -> float:
    return log10(steps[1] / steps[0]) if len(steps) > 1 else log10(2)


def _ticks(places: dict[int, float], *, with_base: bool) -> dict[int, float]:
    """As many steps as can be told apart on the axis; the last one always."""
    if not places:
        return {}
    extent = max(places.values()) - min(places.values())
    chosen: list[int] = []
    for step in sorted(places, reverse=True):
        if step == 0 and not with_base:
            continue
        if not chosen or places[chosen[-1]] - places[step] >= extent / MOST_TICKS * 0.99:
            chosen.append(step)
    return {step: places[step] for step in reversed(chosen)}
