"""Small multiples of the page, as figures for plotly: a panel a measure, a dot a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from textwrap import wrap
from typing import Any

from holdfast.core.foretelling import Measured
from holdfast.report.frame import Figure, axis, layout, note, small_axis
from holdfast.report.palette import FAINT, SOFT, WHITE, Look, looks_of
from holdfast.report.relations.analysis import Related
from holdfast.report.relations.panels import OUTCOMES, Outcome, Panel, panels_of, scale, up
from holdfast.report.wording import markup

WIDTH, ACROSS = 1160, 4
PANEL_HEIGHT, PANEL_GAP = 158, 100
"""Pixels: height of a panel; between two, which holds the numbers of the upper and the heading of the lower."""

SIDE, FOOT, HEAD = 56, 34, 74
LETTER, SAMPLE, LEGEND_ROW, BUTTONS = 7.2, 44, 20, 100
"""Pixels of the legend: a letter of a name, what stands before it, a row, the buttons beside it."""

PANEL_WIDTH = 0.86
"""Of the stride from one panel to the next, what the panel fills."""
STRIDES = ACROSS - 1 + PANEL_WIDTH
"""Strides in the width of the drawing; the last panel ends with it."""

DOT = 0.7
"""Size of a dot, of that in the comparison."""

LINE = 40
"""Letters of a reason that have room above a panel."""


def scatters(related: Related) -> dict[str, Figure]:
    """Outcome -> the figure of every measure against it; methods keep their places in the legend of each."""
    return {outcome: _scatter(related, outcome) for outcome in OUTCOMES}


def _scatter(related: Related, outcome: Outcome) -> Figure:
    panels, families, looks = panels_of(related, outcome), related.families, looks_of(related.families)
    rows, legend = ceil(len(panels) / ACROSS), _legend(list(families))
    inner = rows * PANEL_HEIGHT + (rows - 1) * PANEL_GAP
    shown: dict[str, Any] = {
        **layout(WIDTH, inner + legend["height"] + HEAD + FOOT),
        "margin": {"l": SIDE, "r": 6, "t": legend["height"] + HEAD, "b": FOOT},
        "legend": legend["layout"],
        "annotations": [],
        # A method that is hidden stays hidden when the other outcome is shown.
        "uirevision": "panels",
    }
    traces: list[Figure] = []
    upright = scale(up(related.found.checkpoints, outcome))
    for place, panel in enumerate(panels):
        down, right = divmod(place, ACROSS)
        number = "" if place == 0 else str(place + 1)
        left, top = right / STRIDES, 1 - down * (PANEL_HEIGHT + PANEL_GAP) / inner
        shown[f"xaxis{number}"] = {
            **small_axis(f"y{number}"),
            "domain": [left, left + PANEL_WIDTH / STRIDES],
            "nticks": 6,
            "range": scale(panel.across(related.found.checkpoints)),
            "exponentformat": "e",
        }
        shown[f"yaxis{number}"] = {
            **small_axis(f"x{number}"),
            "domain": [max(top - PANEL_HEIGHT / inner, 0.0), top],
            "range": upright,
            "zeroline": True,
            "zerolinecolor": FAINT,
            "title": axis(outcome)["title"] if right == 0 else {"text": ""},
            "uirevision": outcome,
            **({"matches": "y"} if place else {}),
        }
        shown["annotations"] += _heading(panel, left, top)
        traces += [
            _dots(panel, outcome, family, members, looks[family], number) for family, members in families.items()
        ]
    return {"data": traces, "layout": shown}


def _dots(panel: Panel, outcome: Outcome, family: str, rows: Sequence[Measured], look: Look, number: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": markup(family),
        "legendgroup": family,
        "showlegend": number == "",
        "x": panel.across(rows),
        "y": up(rows, outcome),
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
        "marker": {
            "symbol": look.symbol,
            "size": DOT * look.size,
            "color": look.colour,
            "line": {"color": WHITE, "width": 1},
        },
        "customdata": [[row.seed, row.step, row.forgetting, row.gain] for row in rows],
        "hovertemplate": f"<b>{markup(family)}</b>, seed %{{customdata[0]}}, step %{{customdata[1]:,}}<br>"
        f"{markup(panel.title)} %{{x:.3g}}<br>forgetting %{{customdata[2]:+.3f}}<br>gain %{{customdata[3]:+.3f}}"
        "<extra></extra>",
    }


def _heading(panel: Panel, left: float, top: float) -> list[Figure]:
    """Title, correlation, and what was published, from above."""
    lines = [*wrap(panel.strength, LINE), *([panel.published] if panel.published else [])]
    text = "<br>".join([f"<b>{markup(panel.title)}</b>", *map(markup, lines)])
    return [{**note(left, top, text), "yanchor": "bottom", "yshift": 4, "align": "left", "font": {"size": 12}}]


def _legend(names: Sequence[str]) -> dict[str, Any]:
    """The names above the panels, and the height that they need."""
    entry = SAMPLE + LETTER * max(map(len, names))
    lines = ceil(len(names) / max(int((WIDTH - SIDE - BUTTONS) / entry), 1))
    place = {"x": 0, "y": 1, "yref": "container", "yanchor": "top", "orientation": "h", "entrywidth": entry - SAMPLE}
    return {
        "height": LEGEND_ROW * lines,
        "layout": {**place, "tracegroupgap": 0, "itemsizing": "constant", "font": {"size": 12.5, "color": SOFT}},
    }
