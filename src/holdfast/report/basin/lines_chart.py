"""Curves in panels, an ability each, whose lines are not those of the main chart, as a figure for plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.core.basin import BasinCurve
from holdfast.report.basin.curve_chart import SCORES, about, band, has_band
from holdfast.report.basin.grid import LEFT, RIGHT, WIDTH, Grid, axis_id
from holdfast.report.basin.scale import sigma_axis
from holdfast.report.basin.seen import Seen, reach_of
from holdfast.report.frame import Figure, layout, note, small_axis
from holdfast.report.palette import WHITE, Look
from holdfast.report.wording import markup

HEAD, PANEL, FOOT = 40, 220, 70


@dataclass(frozen=True)
class Line:
    """A curve to be drawn.

    Attributes:
        name: What it is called.
        view: The measurement that it belongs to.
        curve: The curve.
        look: How it is drawn.
        banded: Whether what nine tenths of the directions score is drawn too.
    """

    name: str
    view: Seen
    curve: BasinCurve
    look: Look
    banded: bool = True


def lines_chart(view: Seen, panels: Mapping[str, Sequence[Line]], *, lengths: bool = True) -> Figure | None:
    """A panel an ability; nothing where there is nothing to draw.

    Args:
        view: The measurement by whose number of coordinates lengths are told.
        panels: Ability -> its lines.
        lengths: Whether distances are told as lengths too.
    """
    if not panels:
        return None
    ends = reach_of([level.sigma for lines in panels.values() for line in lines for level in line.curve.levels])
    grid = Grid(len(panels), HEAD + PANEL + FOOT)
    shown: dict[str, Any] = {
        **layout(WIDTH, grid.height),
        "margin": {"l": LEFT, "r": RIGHT, "t": 0, "b": 0},
        "showlegend": False,
        "annotations": [],
    }
    traces: list[Figure] = []
    for place, (ability, lines) in enumerate(panels.items()):
        columns, rows = grid.columns(place), grid.rows(place, HEAD, HEAD + PANEL)
        x, y = axis_id("x", place + 1), axis_id("y", place + 1)
        across = sigma_axis(view, ends, most=grid.ticks, lengths=lengths)
        shown[f"xaxis{place + 1}"] = {**across, "domain": list(columns), "anchor": y}
        shown[f"yaxis{place + 1}"] = {**small_axis(x), "range": list(SCORES), "domain": list(rows), "nticks": 6}
        head = {**note(columns[0], rows[1], f"<b>{markup(ability)}</b>"), "yanchor": "bottom", "yshift": 8}
        shown["annotations"].append(head)
        bands = [line for line in lines if line.banded and has_band(line.curve)]
        drawn = [*(band(line.curve, line.look) for line in bands), *(_drawn(line, lengths) for line in lines)]
        traces += [{**trace, "xaxis": x, "yaxis": y} for trace in drawn]
    return {"data": traces, "layout": shown}


def _drawn(line: Line, lengths: bool) -> Figure:
    levels = line.curve.levels
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": markup(line.name),
        "x": [level.sigma for level in levels],
        "y": [level.mean for level in levels],
        "line": {"color": line.look.colour, "width": 1.8, "dash": line.look.dash},
        "marker": {"size": 5, "color": line.look.colour, "line": {"color": WHITE, "width": 0.8}},
        "hovertext": [
            f"{markup(line.name)}: {about(line.view, line.curve, level, lengths=lengths)}" for level in levels
        ],
        "hoverinfo": "text",
        "cliponaxis": False,
    }
