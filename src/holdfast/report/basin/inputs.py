"""How an ability bears prompts that are disturbed, beside how wide its basin is."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10
from typing import Any, Final, Literal

import numpy as np

from holdfast.core.basin import InputCurve, InputLevel
from holdfast.core.record import Record
from holdfast.metrics.basin.curve import width_on_grid
from holdfast.report.basin.grid import axis_id
from holdfast.report.basin.ledger import width_cell
from holdfast.report.basin.phrases import is_narrower, share_text, sigma_text
from holdfast.report.basin.scale import tick_sigmas
from holdfast.report.basin.seen import Seen
from holdfast.report.diagnosis.ledger import Ledger, Row
from holdfast.report.frame import Figure, axis, bar, layout, note
from holdfast.report.hover import fact
from holdfast.report.ledger import Cell, Column
from holdfast.report.palette import SOFT, WHITE, looks_of
from holdfast.report.wording import NONE, markup, number, span

WIDTH, HEIGHT = 1160, 340
KINDS: Final[Mapping[Literal["tokens", "embeddings"], str]] = {
    "tokens": "tokens replaced",
    "embeddings": "noise on the embeddings, sigma",
}


def input_chart(view: Seen) -> Figure | None:
    """Scores against the amount of disturbance, a panel a kind, a line an ability; nothing where none was tried."""
    kinds = [kind for kind in KINDS if any(each.kind == kind for each in view.measurement.inputs)]
    if not kinds:
        return None
    look = looks_of(view.abilities)
    wide = (1 - 0.06 * (len(kinds) - 1)) / len(kinds)
    shown: dict[str, Any] = {
        **layout(WIDTH if len(kinds) > 1 else WIDTH // 2, HEIGHT),
        "margin": {"l": 56, "r": 14, "t": 34, "b": 56},
        "showlegend": False,
        "annotations": [],
    }
    traces: list[Figure] = []
    for place, kind in enumerate(kinds, start=1):
        left = (place - 1) * (wide + 0.06)
        x, y = axis_id("x", place), axis_id("y", place)
        mine = [each for each in view.measurement.inputs if each.kind == kind]
        shown[f"xaxis{place}"] = {**_amounts(kind, mine), "domain": [left, left + wide], "anchor": y}
        shown[f"yaxis{place}"] = {**axis("mean score" if place == 1 else ""), "anchor": x, "range": [-0.04, 1.04]}
        head = {**note(left, 1.0, KINDS[kind].split(",")[0]), "yanchor": "bottom", "yshift": 8}
        shown["annotations"].append({**head, "font": {"size": 13, "color": SOFT}})
        traces += [{**_line(each, look[each.ability].colour), "xaxis": x, "yaxis": y} for each in mine]
    return {"data": traces, "layout": shown}


def input_key(view: Seen) -> list[tuple[str, str]]:
    """Ability -> its colour in the chart."""
    look = looks_of(view.abilities)
    asked = {each.ability for each in view.measurement.inputs}
    return [(ability, look[ability].colour) for ability in view.abilities if ability in asked]


def input_ledger(view: Seen) -> Ledger | None:
    """How much disturbance each ability bears before it loses as much as a width allows, beside that width."""
    found = {(each.ability, each.kind): each for each in view.measurement.inputs}
    kinds = [kind for kind in KINDS if any(kind == known for _, known in found)]
    if not kinds:
        return None
    columns = [Column("basin, sigma", "Width along random directions in the weights", first=True)]
    columns += [
        Column(KINDS[kind], "Up to which amount the mean drop stays within the tolerance, read off the curve", not n)
        for n, kind in enumerate(kinds)
    ]
    rows = [
        Row(
            ability,
            "",
            (width_cell(view.width(ability)), *(_bearable(view, found.get((ability, kind))) for kind in kinds)),
        )
        for ability in view.abilities
        if any((ability, kind) in found for kind in kinds)
    ]
    return Ledger((("in the weights", 1), ("on the prompts", len(kinds))), tuple(columns), tuple(rows))


def bearable(curve: InputCurve, tolerance: float) -> Record:
    """The largest amount up to which the mean drop stays within a tolerance, or why it is not on the grid."""
    drops = curve.base - np.array([level.mean for level in curve.levels])
    amounts = [level.amount for level in curve.levels]
    return width_on_grid(amounts, drops, tolerance, (f"input {curve.kind}", "bearable", curve.ability))


def _bearable(view: Seen, curve: InputCurve | None) -> Cell:
    if curve is None:
        return Cell(NONE, (), None, "not tried")
    record = bearable(curve, view.measurement.tolerance)
    if record.value is None:
        beyond = not is_narrower(record)
        edge = curve.levels[-1].amount if beyond else curve.levels[0].amount
        side, reason = ("above", "at no amount") if beyond else ("below", "at the first amount already")
        tip = f"the mean drop exceeds the tolerance {reason}"
        return Cell(f"{side} {_amount(curve.kind, edge)}", (), edge, tip)
    return Cell(_amount(curve.kind, record.value), (), record.value)


def _amount(kind: str, value: float) -> str:
    return share_text(value) if kind == "tokens" else sigma_text(value)


def _amounts(kind: str, curves: list[InputCurve]) -> Figure:
    amounts = [level.amount for curve in curves for level in curve.levels]
    if kind == "tokens":
        return {**axis("share of the tokens"), "range": [0, 1.04 * max(amounts)], "tickformat": ".0%"}
    ends = (min(amounts) / 1.15, max(amounts) * 1.15)
    ticks = tick_sigmas(*ends)
    return {
        **axis("sigma on every coordinate of the embeddings"),
        "type": "log",
        "range": [log10(end) for end in ends],
        "tickvals": list(ticks),
        "ticktext": [sigma_text(tick) for tick in ticks],
    }


def _line(curve: InputCurve, colour: str) -> Figure:
    """A line that begins at the prompts as they are, which an axis in ratios has no place for."""
    begin = f"<b>{markup(curve.ability)}</b><br>{fact('undisturbed', number(curve.base))}"
    undisturbed = [(0.0, curve.base, begin)] if curve.kind == "tokens" else []
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": markup(curve.ability),
        "x": [*(at for at, _, _ in undisturbed), *(level.amount for level in curve.levels)],
        "y": [*(score for _, score, _ in undisturbed), *(level.mean for level in curve.levels)],
        "line": {"color": colour, "width": 2},
        "marker": {"size": 6, "color": colour, "line": {"color": WHITE, "width": 1}},
        "error_y": _bars(curve.levels, colour, len(undisturbed)),
        "hovertext": [*(text for _, _, text in undisturbed), *(_about(curve, level) for level in curve.levels)],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _bars(levels: tuple[InputLevel, ...], colour: str, without: int) -> Figure:
    """Bars of all levels, after some points that have none."""
    ends = [level.spread or (level.mean, level.mean) for level in levels]
    bars = [bar(level.mean, end, colour) for level, end in zip(levels, ends, strict=True)]
    return {**bars[0], **{side: [0.0] * without + [each[side][0] for each in bars] for side in ("array", "arrayminus")}}


def _about(curve: InputCurve, level: InputLevel) -> str:
    lines = [
        f"<b>{markup(curve.ability)}</b>",
        fact(KINDS[curve.kind], _amount(curve.kind, level.amount)),
        fact("mean score", f"{number(level.mean)}, undisturbed {number(curve.base)}, a guess {number(curve.chance)}"),
    ]
    if level.spread is not None:
        lines.append(fact("95% interval of the mean", span(level.spread)))
    return "<br>".join([*lines, fact("draws", f"{len(level.scores)}")])
