"""Profiles over singular directions: which are shown, and so many of their points as a screen can."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from holdfast.core.diagnosis import CONTROL, UPDATE, Site
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.heat import HeatRow, rows_of
from holdfast.report.palette import COLOURS, FAINT, SOFT

KINDS = ("adaptation", "retention")
MOST_POINTS = 128
"""Points of a curve that are drawn, two for each stretch of directions."""

MOST_ROWS, MOST_COLUMNS = 8, 4
DEPTH = 1e-6
"""Below this share of the largest number nothing is drawn."""


@dataclass(frozen=True)
class Stroke:
    """How a curve is drawn.

    Attributes:
        subject: Whose curves.
        kind: Which of them.
        title: What it is called.
        colour: Its colour.
        width: Of the line.
        dash: Of the line.
    """

    subject: str
    kind: str
    title: str
    colour: str
    width: float
    dash: str


STROKES = (
    Stroke(CONTROL, "adaptation", "adaptation, random update", SOFT, 1.0, "solid"),
    Stroke(CONTROL, "retention", "retention, random update", FAINT, 1.0, "solid"),
    Stroke(UPDATE, "retention", "retention", COLOURS[1], 1.2, "solid"),
    Stroke(UPDATE, "adaptation", "adaptation", COLOURS[0], 1.5, "solid"),
)
"""In the order in which they are drawn: the update above the control."""


@dataclass(frozen=True)
class Drawn:
    """The points of a curve that are drawn.

    Attributes:
        directions: Number of the direction, from 1.
        values: Its value; nothing where it is zero, which a logarithmic scale cannot show.
    """

    directions: tuple[int, ...]
    values: tuple[float | None, ...]


def drawn(values: Sequence[float]) -> Drawn:
    """The curve; of a long one the least and the largest value of every stretch, so that no spike is lost."""
    count = len(values)
    if count <= MOST_POINTS:
        chosen: Iterable[int] = range(count)
    else:
        stretches = MOST_POINTS // 2
        ends = [round(part * count / stretches) for part in range(stretches + 1)]
        chosen = sorted(
            {
                extreme(range(start, end), key=values.__getitem__)
                for start, end in pairwise(ends)
                for extreme in (min, max)
            }
            | {0, count - 1}
        )
    found = [(i + 1, values[i] if values[i] > 0 else None) for i in chosen]
    return Drawn(
        tuple(i for i, _ in found), tuple(value if value is None else float(f"{value:.4g}") for _, value in found)
    )


def curves_of(findings: Findings) -> dict[str, list[tuple[Stroke, Drawn]]]:
    """Weight -> its curves, wherever there are some, in the order of the model."""
    found: dict[str, list[tuple[Stroke, Drawn]]] = {}
    for site in findings.sites:
        for stroke in STROKES:
            curve = findings.curves.get((site.name, stroke.subject, stroke.kind))
            if curve is not None and any(curve.values):
                found.setdefault(site.name, []).append((stroke, drawn(curve.values)))
    return found


def span_of(curves: Iterable[Sequence[tuple[Stroke, Drawn]]]) -> tuple[float, float]:
    """Powers of ten between which the curves lie, but for a few of the deepest falls."""
    tops, bottoms = [1e-12], []
    for group in curves:
        for _, each in group:
            values = sorted(value for value in each.values if value is not None)
            tops.append(values[-1])
            bottoms += values
    top = max(tops)
    bottom = max(sorted(bottoms)[len(bottoms) // 200] if bottoms else top, top * DEPTH)
    return math.log10(bottom) - 0.15, math.log10(top) + 0.15


@dataclass(frozen=True)
class Panels:
    """Small multiples: modules down, a few depths across.

    Attributes:
        rows: Name of the module, and its weight at every depth, or nothing.
        blocks: The depths.
        left_out: How many modules are not shown.
    """

    rows: tuple[tuple[str, tuple[Site | None, ...]], ...]
    blocks: tuple[int, ...]
    left_out: int


def panels_of(findings: Findings, curves: Mapping[str, object]) -> Panels:
    """First and last block and depths between them; modules with the largest changes where there are too many.

    Weights outside of blocks stand in rows after those.
    """
    sites = [site for site in findings.sites if site.name in curves]
    depths, rows = rows_of(sites)
    last = len(depths) - 1
    places = sorted({round(part * last / (MOST_COLUMNS - 1)) for part in range(MOST_COLUMNS)}) if depths else []
    kept = sorted(range(len(rows)), key=lambda i: -_size(findings, sites, rows[i]))[:MOST_ROWS]
    shown = [(rows[i].label, tuple(_at(sites, rows[i].sites[place]) for place in places)) for i in sorted(kept)]
    if not depths:
        shown = [(site.name, (site,)) for site in sites[:MOST_ROWS]]
    return Panels(tuple(shown), tuple(depths[place] for place in places), max(len(rows) - MOST_ROWS, 0))


def _at(sites: Sequence[Site], number: int | None) -> Site | None:
    return None if number is None else sites[number]


def _size(findings: Findings, sites: Sequence[Site], row: HeatRow) -> float:
    names = [sites[number].name for number in row.sites if number is not None]
    return max((findings.value("relative_size_frobenius", name) or 0.0 for name in names), default=0.0)
