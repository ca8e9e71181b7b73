"""Where every fine-tune stands beside the width of every basin, as a figure for plotly."""

from __future__ import annotations

from math import log10
from typing import Any, Final

from holdfast.core.basin import BasinVerdict
from holdfast.report.basin.curve_chart import about_tuned, shaded
from holdfast.report.basin.scale import sigma_axis
from holdfast.report.basin.seen import TOWARD, Seen, sigmas_of
from holdfast.report.frame import Figure, layout
from holdfast.report.labels import Pair
from holdfast.report.palette import BETTER, DISTANCE, FAINT, INK, SHADE, WHITE, WORSE, tinted
from holdfast.report.wording import markup, signed, typeset

WIDTH = 1160
ROW, FOOT, NAME = 46, 74, 17
"""Pixels: of an ability, below the last one, and of a line of names above the first."""

LEFT_LETTER, LEFT_LEAST, RIGHT = 7.3, 70, 70
HALF = 0.3
"""Half of the height of a bar, of a row."""

INSIDE: Final = tinted(0.45, BETTER)
OPEN: Final = tinted(0.35, DISTANCE)
OUTSIDE: Final = tinted(0.45, WORSE)
CROWDED: Final = 0.085
"""Names nearer than this share of the width stand in lines of their own."""


def strip_chart(view: Seen) -> Figure | None:
    """A row an ability: inside, not known and outside on the axis of distances, the fine-tunes on it."""
    abilities = view.judged
    if not abilities:
        return None
    ends = sigmas_of(view)
    lines = _lines_of_names(view, ends)
    top = NAME * (max(lines.values()) + 1) + 12
    height = top + ROW * len(abilities) + FOOT
    left = max(LEFT_LEAST, round(LEFT_LETTER * max(map(len, abilities))) + 14)
    shown: dict[str, Any] = {
        **layout(WIDTH, height),
        "margin": {"l": left, "r": RIGHT, "t": top, "b": FOOT},
        "showlegend": False,
        "xaxis": {**sigma_axis(view, ends), "showgrid": False},
        "yaxis": {
            "range": [len(abilities) - 0.5, -0.5],
            "tickvals": list(range(len(abilities))),
            "ticktext": [markup(ability) for ability in abilities],
            "tickfont": {"size": 13, "color": INK},
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "shapes": [
            _bar(part, row, colour)
            for row, ability in enumerate(abilities)
            for part, colour in stretches(view, ability, ends)
        ],
        "annotations": [_name(view, tuned, line) for tuned, line in lines.items()],
    }
    shown["shapes"] += [_upright(view, tuned) for tuned in view.tuned]
    traces = [
        _spots(view, tuned, [(row, each) for row, a in enumerate(abilities) if (each := view.verdict(a, tuned))])
        for tuned in view.tuned
    ]
    return {"data": traces, "layout": shown}


def stretches(view: Seen, ability: str, ends: Pair) -> list[tuple[Pair, str]]:
    """From where to where the axis of an ability has which colour; one where nothing is known of its width."""
    width = view.width(ability)
    interval = None if width is None else shaded(width, ends)
    if width is None or interval is None:
        return [(ends, SHADE)]
    parts = [(interval, OPEN)]
    parts += [((ends[0], interval[0]), INSIDE)] if width.low is not None else []
    parts += [((interval[1], ends[1]), OUTSIDE)] if width.high is not None else []
    return parts


def _bar(between: Pair, row: int, colour: str) -> Figure:
    return {
        "type": "rect", "xref": "x", "yref": "y", "x0": between[0], "x1": between[1], "y0": row - HALF,
        "y1": row + HALF, "fillcolor": colour, "line": {"width": 0}, "layer": "below",
    }  # fmt: skip


def _upright(view: Seen, tuned: str) -> Figure:
    at = _sigma(view, tuned)
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1,
        "line": {"color": FAINT, "width": 1, "dash": "dot"}, "layer": "below",
    }  # fmt: skip


def _name(view: Seen, tuned: str, line: int) -> Figure:
    return {
        "x": log10(_sigma(view, tuned)),
        "y": 1,
        "xref": "x",
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": 4 + NAME * line,
        "text": markup(view.names[tuned]),
        "showarrow": False,
        "font": {"size": 12.5, "color": view.look[TOWARD + tuned].colour},
    }


def _sigma(view: Seen, tuned: str) -> float:
    return next(each.sigma for each in view.measurement.verdicts if each.tuned == tuned)


def _lines_of_names(view: Seen, ends: Pair) -> dict[str, int]:
    """In which line above the rows each name stands, so that neighbours do not cover each other."""
    span = log10(ends[1] / ends[0])
    last: dict[int, float] = {}
    lines: dict[str, int] = {}
    for tuned in view.tuned:
        at = log10(_sigma(view, tuned) / ends[0]) / span
        half = max(CROWDED, LEFT_LETTER * len(view.names[tuned]) / WIDTH) / 2
        line = next((n for n in range(len(last)) if at - half >= last[n]), len(last))
        lines[tuned], last[line] = line, at + half
    return lines


def _spots(view: Seen, tuned: str, found: list[tuple[int, BasinVerdict]]) -> Figure:
    look = view.look[TOWARD + tuned]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": markup(view.names[tuned]),
        "x": [each.sigma for _, each in found],
        "y": [row for row, _ in found],
        "marker": {"symbol": "diamond", "size": 12, "color": look.colour, "line": {"color": WHITE, "width": 1.2}},
        "text": [_change(each) for _, each in found],
        "textposition": "middle right",
        "textfont": {"size": 11.5, "color": INK},
        "hovertext": [about_tuned(view, each) for _, each in found],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _change(each: BasinVerdict) -> str:
    """By how much its score changed."""
    return "" if each.drop.value is None else f" {typeset(signed(-each.drop.value, 2))}"
