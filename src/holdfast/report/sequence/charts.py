"""The charts of the page of sequences, as figures for plotly."""

from __future__ import annotations

from math import ceil
from typing import Any

from holdfast.report.frame import Figure, axis, bar, crosshair, layout, name_beside, small_axis
from holdfast.report.hover import fact
from holdfast.report.labels import Pair
from holdfast.report.palette import INK, WHITE, Look, looks_of
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.columns import SHOWN, ability_column
from holdfast.report.sequence.phrases import told, told_signed
from holdfast.report.sequence.plane import Plane, name_places, plane_of, span_of
from holdfast.report.sequence.standing import LEARNT, LOST
from holdfast.report.wording import markup, typeset

WIDTH, HEIGHT = 1160, 520
LEFT, RIGHT, TOP, BOTTOM = 74, 18, 18, 62
LETTER, ROW = 7.0, 15.0
"""Of the names: width of a letter in pixels, height of a line."""

ACROSS, PANEL, BETWEEN, FOOT = 5, 150, 54, 46
"""Small panels side by side; pixels of a panel, between two rows of them, and below the last."""


def plane_chart(found: Analysed) -> Figure | None:
    """What was learned against what was lost, a dot an entrant; nothing where either is nowhere defined."""
    plane = plane_of(found)
    if plane is None:
        return None
    look = looks_of(each.name for each in found.sequences)
    places = name_places(plane, (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM), LETTER, ROW)
    reference = next((at for each, at in plane.spots if each.name == found.reference), None)
    better = "   <b>better \N{RIGHTWARDS ARROW}</b>"
    shown = {
        **layout(WIDTH, HEIGHT),
        "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
        "showlegend": False,
        "xaxis": {**axis(f"learning accuracy: each task just after it was trained{better}"), "range": plane.across},
        "yaxis": {**axis(f"backward transfer (GEM): end minus just trained{better}"), "range": plane.up},
        "shapes": crosshair(*reference) if reference is not None else [],
        "annotations": [
            name_beside(
                *at, f"<b>{markup(each.name)}</b>" if each.name == found.reference else markup(each.name), where, INK
            )
            for (each, at), where in zip(plane.spots, places, strict=True)
        ],
    }
    return {"data": [_dot(found, plane, each, at, look[each.name]) for each, at in plane.spots], "layout": shown}


def curves_layout(found: Analysed) -> tuple[Figure, list[Pair]]:
    """Room for a small panel a task and ability, and where the head of each stands, as shares of the drawing."""
    count = len(found.evidence.tasks) + len(found.evidence.keep)
    rows = ceil(count / ACROSS)
    height = rows * (PANEL + BETWEEN) + FOOT - BETWEEN
    shown: dict[str, Any] = {
        **layout(WIDTH, height + 30),
        "margin": {"l": 44, "r": 8, "t": 30, "b": FOOT},
        "showlegend": False,
        "dragmode": False,
    }
    inner, gap = height - FOOT, 0.042
    width = (1 - gap * (ACROSS - 1)) / ACROSS
    heads = []
    for place in range(count):
        row, column = divmod(place, ACROSS)
        left, top = column * (width + gap), 1 - row * (PANEL + BETWEEN) / inner
        stage = {"nticks": 11, "dtick": 1, "range": [-0.15, len(found.evidence.tasks) + 0.15]}
        shown[f"xaxis{place + 1}"] = {**small_axis(f"y{place + 1}"), **stage, "domain": [left, left + width]}
        domain = [max(top - PANEL / inner, 0.0), top]
        shown[f"yaxis{place + 1}"] = {**small_axis(f"x{place + 1}"), "nticks": 6, "domain": domain}
        heads.append((left, top))
    return shown, heads


def _dot(found: Analysed, plane: Plane, each: Measured, at: Pair, look: Look) -> Figure:
    learnt, lost = each.numbers[LEARNT], each.numbers[LOST]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": markup(each.name),
        "x": [at[0]],
        "y": [at[1]],
        "marker": {
            "symbol": look.symbol,
            "size": look.size,
            "color": WHITE if each.name in found.controls else look.colour,
            "line": {"color": look.colour if each.name in found.controls else WHITE, "width": 1.6},
        },
        "error_x": bar(at[0], span_of(learnt), look.pale),
        "error_y": bar(at[1], span_of(lost), look.pale),
        "hovertext": [about(found, each)],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def about(found: Analysed, each: Measured) -> str:
    """Everything about an entrant in a few lines, as the markup that plotly understands."""
    lines = [f"<b>{markup(each.name)}</b>"]
    for column in SHOWN:
        number = each.numbers[column.metric.name]
        if number.value is not None:
            lines.append(fact(column.title, typeset(told_signed(number) if column.signed else told(number))))
    for unit in found.ability_units:
        suffix = "" if unit == "frac" else f" {unit}"
        lines.append(fact("general ability", typeset(told_signed(each.numbers[ability_column(unit)])) + suffix))
    if each.row.ceiling is not None:
        lines.append(fact("held against", each.row.ceiling))
    lines.append(fact("chains", f"{len(each.row.runs)} of {each.row.asked}"))
    return "<br>".join(lines)
