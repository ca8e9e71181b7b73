"""The charts of the page of a diagnosis, as figures for plotly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.report.diagnosis.activations import ROLE_COLOURS, Mark, Measure, measures_of
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import place
from holdfast.report.diagnosis.profiles import Drawn, Stroke, curves_of, panels_of, span_of
from holdfast.report.frame import Figure, axis, layout, note, small_axis
from holdfast.report.palette import SOFT
from holdfast.report.wording import markup

WIDTH = 1160
PANEL_HEIGHT, PANEL_GAP, HEADING = 108, 44, 50
"""Pixels of the small multiples: height of a panel, between two, above the first."""

LARGE_HEIGHT, ROW, MARGIN = 380, 26, 250

Curves = dict[str, list[tuple[Stroke, Drawn]]]


def small_multiples(findings: Findings) -> Figure | None:
    """A panel a weight, modules down and depths across, all on the same scale; nothing without curves."""
    curves = curves_of(findings)
    if not curves:
        return None
    panels = panels_of(findings, curves)
    low, high = span_of(curves[site.name] for _, row in panels.rows for site in row if site is not None)
    across = max(len(panels.blocks), 1)
    height = len(panels.rows) * (PANEL_HEIGHT + PANEL_GAP) + HEADING + 44
    shown: dict[str, Any] = {
        **layout(min(WIDTH, 130 + 340 * across), height),
        "margin": {"l": 64, "r": 10, "t": HEADING, "b": 44},
        "showlegend": False,
        "annotations": [],
    }
    traces: list[Figure] = []
    inner = height - HEADING - 44
    for down, (label, row) in enumerate(panels.rows):
        top = 1 - down * (PANEL_HEIGHT + PANEL_GAP) / inner
        for right, site in enumerate(row):
            if site is None:
                continue
            number = down * across + right + 1
            left = right / across
            x, y = f"xaxis{number}", f"yaxis{number}"
            bottom = down == len(panels.rows) - 1
            shown[x] = {**small_axis(f"y{number}"), "domain": [left, left + 0.92 / across], "showticklabels": True}
            shown[x]["title"] = {"text": "singular direction" if bottom and not right else "", "font": {"size": 12}}
            shown[y] = {
                **small_axis(f"x{number}"),
                **_powers(low, high),
                "domain": [max(top - PANEL_HEIGHT / inner, 0), top],
                "showticklabels": right == 0,
            }
            traces += [_line(*curve, f"x{number}", f"y{number}", place(site)) for curve in curves[site.name]]
            if right == 0 or row[0] is None:
                shown["annotations"].append(_inside(left, top, label))
    shown["annotations"] += [_above(right / across, f"block {block}", 22) for right, block in enumerate(panels.blocks)]
    return {"data": traces, "layout": shown}


def one_profile(findings: Findings) -> Figure | None:
    """The curves of every weight, and the layout in which one of them is shown at a time; nothing without curves."""
    curves = curves_of(findings)
    if not curves:
        return None
    low, high = span_of(curves.values())
    kinds = {stroke.title: stroke for group in curves.values() for stroke, _ in group}
    shown = {
        **layout(WIDTH, LARGE_HEIGHT),
        "margin": {"l": 74, "r": 18, "t": 30, "b": 52},
        "xaxis": axis("singular direction of the base, the strongest first"),
        "yaxis": {**axis("over the largest singular value"), **_powers(low, high)},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "reversed"},
    }
    names = list(kinds)
    return {
        "styles": [_style(stroke) for stroke in kinds.values()],
        "layout": shown,
        "sites": {
            site: [[names.index(stroke.title), each.directions, each.values] for stroke, each in group]
            for site, group in curves.items()
        },
    }


def activation_chart(findings: Findings) -> Figure | None:
    """For each measure a panel, for each module a row: where it lies, its interval, and what means nothing."""
    measures, sites = measures_of(findings)
    if not measures or not sites:
        return None
    gap = 0.035
    width = (1 - gap * (len(measures) - 1)) / len(measures)
    height = ROW * len(sites) + 100
    shown: dict[str, Any] = {
        **layout(WIDTH, height),
        "margin": {"l": MARGIN, "r": 14, "t": 40, "b": 44},
        "showlegend": False,
        "annotations": [],
    }
    traces: list[Figure] = []
    for number, measure in enumerate(measures, start=1):
        left = (number - 1) * (width + gap)
        shown[f"xaxis{number}"] = {**axis(""), "domain": [left, left + width], "anchor": f"y{number}", "nticks": 5}
        shown[f"xaxis{number}"]["rangemode"] = "tozero"
        shown[f"yaxis{number}"] = {
            **axis(""),
            "anchor": f"x{number}",
            "range": [len(sites) - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": list(range(len(sites))),
            "ticktext": [markup(place(site)) for site in sites],
            "showticklabels": number == 1,
            "ticks": "",
        }
        shown["annotations"].append(_above(left, measure.title))
        traces += _dots(measure, number)
    return {"data": traces, "layout": shown}


def _dots(measure: Measure, number: int) -> list[Figure]:
    traces = []
    for role, marks in measure.marks.items():
        axes = {"xaxis": f"x{number}", "yaxis": f"y{number}", "type": "scatter", "mode": "markers", "hoverinfo": "text"}
        nulls = [mark for mark in marks if mark.null is not None]
        traces.append(
            {
                **axes,
                "x": [mark.null for mark in nulls],
                "y": [mark.row for mark in nulls],
                "marker": {"symbol": "line-ns-open", "size": 11, "color": SOFT, "line": {"width": 1.6}},
                "hovertext": [mark.null_text for mark in nulls],
                "name": f"{role}, unrelated tokens",
            }
        )
        traces.append(
            {
                **axes,
                "x": [mark.value for mark in marks],
                "y": [mark.row for mark in marks],
                "marker": {"size": 9, "color": ROLE_COLOURS[role]},
                "error_x": _bars(marks, ROLE_COLOURS[role]),
                "hovertext": [mark.text for mark in marks],
                "name": role,
            }
        )
    return traces


def _bars(marks: Sequence[Mark], colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(mark.span[1] - mark.value, 0.0) if mark.span else 0.0 for mark in marks],
        "arrayminus": [max(mark.value - mark.span[0], 0.0) if mark.span else 0.0 for mark in marks],
        "color": colour,
        "thickness": 1.4,
        "width": 0,
    }


def _style(stroke: Stroke) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": stroke.title,
        "line": {"color": stroke.colour, "width": stroke.width, "dash": stroke.dash},
        "hovertemplate": "direction %{x}: %{y:.3g}<extra>" + stroke.title + "</extra>",
    }


def _line(stroke: Stroke, each: Drawn, xaxis: str, yaxis: str, site: str) -> Figure:
    text = f"{markup(site)}<br>{stroke.title}, direction %{{x}}: %{{y:.3g}}<extra></extra>"
    return {
        **_style(stroke),
        "x": each.directions,
        "y": each.values,
        "xaxis": xaxis,
        "yaxis": yaxis,
        "hovertemplate": text,
    }


def _powers(low: float, high: float) -> dict[str, Any]:
    step = 1 if high - low < 4 else 2
    return {"type": "log", "range": [low, high], "dtick": step, "exponentformat": "power"}


def _inside(left: float, top: float, text: str) -> dict[str, Any]:
    return {**note(left, top, f"<b>{markup(text)}</b>"), "yanchor": "bottom", "yshift": 0, "font": {"size": 12}}


def _above(left: float, text: str, shift: int = 12) -> dict[str, Any]:
    return {**note(left, 1.0, markup(text)), "yanchor": "bottom", "yshift": shift, "font": {"size": 13, "color": SOFT}}
