"""The two charts of the page, as figures for plotly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.report.comparison import Comparison
from holdfast.report.course import Course, Line, course_of
from holdfast.report.frame import Figure, axis, bar, crosshair, layout, name_beside, note
from holdfast.report.hover import rewound_facts, told
from holdfast.report.labels import Drawing, placed
from holdfast.report.palette import FAINT, INK, SHADE, SOFT, WHITE, Look, looks
from holdfast.report.plane import Dot, Plane, plane_of
from holdfast.report.wording import SCORES, listed, markup, number, typeset

WIDTH, HEIGHT = 1160, 640
LEFT, RIGHT, TOP, BOTTOM = 74, 18, 18, 62
COURSE_HEIGHT, LEGEND_ROW, LEGEND_SAMPLE = 430, 22, 62
PANEL = 0.46
"""Width of each of the two panels as a share of the drawing."""

LETTER, BOLD, ROW = 6.7, 1.08, 15.0
"""Of the names beside the dots: width of a letter in pixels, by what a bold one is wider, height of a line."""


def tradeoff_chart(comparison: Comparison) -> Figure | None:
    """Stability against plasticity: dots with their intervals and their ways there, and the frontier.

    Nothing where no entrant has a result.
    """
    plane, look = plane_of(comparison), looks(comparison)
    if not plane.dots:
        return None
    everybody = (plane.base, *plane.dots)
    traces = _stairs(plane)
    traces += [_path(path, look[name]) for name, path in plane.paths.items()]
    for dot in plane.dots:
        if dot.point.name in plane.best:
            traces.append(_best(dot, plane.best[dot.point.name], look[dot.point.name]))
    traces += [_dot(dot, look[dot.point.name], told(dot.point, comparison)) for dot in (*plane.dots, plane.base)]
    kept = f"kept: {SCORES[comparison.forgetting_unit]}, over {listed(comparison.headline, most=7)}"
    target = f"learned: {SCORES[comparison.gain_unit]}, on {listed(comparison.learn)}"
    better = "   <b>better \N{RIGHTWARDS ARROW}</b>"
    shown = {
        **layout(WIDTH, HEIGHT),
        "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
        "showlegend": False,
        "xaxis": {**axis(markup(kept) + better), "range": plane.kept_range},
        # The title of this axis is turned, and its arrow with it.
        "yaxis": {**axis(markup(target) + better), "range": plane.target_range},
        "shapes": crosshair(plane.base.kept, plane.base.target),
        "annotations": _names(everybody, plane),
    }
    return {"data": traces, "layout": shown}


def course_chart(comparison: Comparison) -> Figure | None:
    """Kept score and target score against the step; nothing where there are no checkpoints."""
    course, look = course_of(comparison), looks(comparison)
    if not course.lines:
        return None
    height = max(COURSE_HEIGHT, LEGEND_ROW * len(course.lines) + 110)
    legend = LEGEND_SAMPLE + LETTER * max(len(line.point.name) for line in course.lines)
    panels = (("x", "y", "kept"), ("x2", "y2", "target"))
    ordered = sorted(course.lines, key=lambda line: -line.kept[-1])
    traces = [
        _course(line, look[line.point.name], xaxis, yaxis, which) for xaxis, yaxis, which in panels for line in ordered
    ]
    shown = {
        **layout(WIDTH, height),
        "margin": {"l": 60, "r": legend, "t": 44, "b": 56},
        "xaxis": {**axis("optimizer step"), **_steps(course), "domain": [0.0, PANEL], "anchor": "y"},
        "xaxis2": {**axis("optimizer step"), **_steps(course), "domain": [1.0 - PANEL, 1.0], "anchor": "y2"},
        "yaxis": {**axis(""), "anchor": "x"},
        "yaxis2": {**axis(""), "anchor": "x2"},
        "legend": {"x": 1.015, "y": 1.0, "yanchor": "top", "tracegroupgap": 0},
        "shapes": _levels(course),
        "annotations": [
            _heading(0.0, f"kept: {SCORES[comparison.forgetting_unit]}"),
            _heading(1.0 - PANEL, f"learned: {SCORES[comparison.gain_unit]}"),
        ],
    }
    return {"data": traces, "layout": shown}


def _stairs(plane: Plane) -> list[Figure]:
    """The frontier, and what lies behind it in a faint shade."""
    corner = [(plane.kept_range[0], plane.target_range[0])] if plane.stairs else []
    behind, line = [*plane.stairs, *corner], plane.stairs
    shared = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    return [
        {**shared, "x": [x for x, _ in behind], "y": [y for _, y in behind], "fill": "toself", "fillcolor": SHADE}
        | {"line": {"width": 0}},
        {**shared, "x": [x for x, _ in line], "y": [y for _, y in line], "line": {"color": FAINT, "width": 1.6}},
    ]


def _path(path: Sequence[tuple[float, float]], look: Look) -> Figure:
    return {
        "type": "scatter",
        "x": [x for x, _ in path],
        "y": [y for _, y in path],
        "mode": "lines",
        "line": {"color": look.colour, "width": 1.3, "dash": look.dash},
        "opacity": 0.3,
        "hoverinfo": "skip",
    }


def _best(dot: Dot, place: tuple[float, float], look: Look) -> Figure:
    """A line from where an entrant ended to its best points, and an open mark there."""
    name = f"<b>{markup(dot.point.name)}</b>, rewound"
    return {
        "type": "scatter",
        "x": [dot.kept, place[0]],
        "y": [dot.target, place[1]],
        "mode": "lines+markers",
        "line": {"color": look.colour, "width": 1.4},
        "marker": {
            "symbol": look.symbol,
            "size": [0, 0.7 * look.size],
            "color": WHITE,
            "line": {"color": look.colour, "width": 1.8},
            "opacity": 1,
        },
        "hovertext": ["", "<br>".join([name, *rewound_facts(dot.point)])],
        "hoverinfo": "text",
    }


def _dot(dot: Dot, look: Look, text: str) -> Figure:
    solid = dot.point.ranked
    return {
        "type": "scatter",
        "name": markup(dot.point.name),
        "x": [dot.kept],
        "y": [dot.target],
        "mode": "markers",
        "marker": {
            "symbol": look.symbol,
            "size": look.size,
            "color": look.colour if solid else WHITE,
            "line": {"color": WHITE if solid else look.colour, "width": 1.5 if solid else 2},
            "opacity": 1,
        },
        "error_x": bar(dot.kept, dot.kept_span, look.pale),
        "error_y": bar(dot.target, dot.target_span, look.pale),
        "cliponaxis": False,
        "hovertext": [text],
        "hoverinfo": "text",
    }


def _names(dots: Sequence[Dot], plane: Plane) -> list[dict[str, Any]]:
    """The names beside the dots, placed for the size that the chart has."""
    frame = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
    drawing = Drawing(plane.kept_range, plane.target_range, frame)
    middles = [drawing.at(dot.kept, dot.target) for dot in dots]
    bars = [
        bar for dot in dots for bar in drawing.cross((dot.kept, dot.target), dot.kept_span, dot.target_span, half=1.0)
    ]
    letters = [LETTER * (BOLD if dot.point.on_frontier else 1.0) for dot in dots]
    sizes = [(letter * len(dot.point.name) + 6, ROW) for letter, dot in zip(letters, dots, strict=True)]
    places = placed(middles, sizes, bars, frame)
    return [
        name_beside(
            dot.kept,
            dot.target,
            f"<b>{markup(dot.point.name)}</b>" if dot.point.on_frontier else markup(dot.point.name),
            place,
            INK if dot.point.ranked else SOFT,
        )
        for dot, place in zip(dots, places, strict=True)
    ]


def _course(line: Line, look: Look, xaxis: str, yaxis: str, which: str) -> Figure:
    values = line.kept if which == "kept" else line.target
    name = markup(line.point.name)
    texts = [
        f"<b>{name}</b><br>{'untouched base' if step == 0 else f'step {step:,}'}<br>{which} {typeset(number(value))}"
        for step, value in zip(line.steps, values, strict=True)
    ]
    return {
        "type": "scatter",
        "name": name,
        "legendgroup": name,
        "showlegend": which == "kept",
        "x": line.places,
        "y": values,
        "xaxis": xaxis,
        "yaxis": yaxis,
        "mode": "lines+markers",
        "line": {"color": look.colour, "width": 2 if line.point.ranked else 1.3, "dash": look.dash},
        "marker": {
            "symbol": look.symbol,
            "size": 0.6 * look.size,
            "color": look.colour if line.point.ranked else WHITE,
            "line": {"color": look.colour, "width": 1.5},
        },
        "hovertext": texts,
        "hoverinfo": "text",
    }


def _steps(course: Course) -> dict[str, Any]:
    return {
        "tickmode": "array",
        "tickvals": list(course.ticks.values()),
        "ticktext": ["0" if step == 0 else f"{step:,}" for step in course.ticks],
    }


def _levels(course: Course) -> list[dict[str, Any]]:
    """The base's scores, as lines across the panels."""
    levels = (("x", "y", course.base_kept), ("x2", "y2", course.base_target))
    return [
        {
            "type": "line",
            "xref": f"{xaxis} domain",
            "yref": yaxis,
            "x0": 0,
            "x1": 1,
            "y0": level,
            "y1": level,
            "line": {"color": INK, "width": 1, "dash": "dot"},
            "layer": "below",
            "opacity": 0.55,
        }
        for xaxis, yaxis, level in levels
        if level is not None
    ]


def _heading(x: float, text: str) -> dict[str, Any]:
    return {**note(x, 1.0, text), "yanchor": "bottom", "yshift": 12, "font": {"size": 13, "color": SOFT}}
