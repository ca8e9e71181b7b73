"""What is left of the first choice, and how much every choice lets go: a line an entrant, as a figure for plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.report.frame import Figure, axis, layout, note
from holdfast.report.isolation.phrases import percent, spread
from holdfast.report.isolation.readings import Drift, Over, Reading
from holdfast.report.palette import INK, SOFT, WHITE, Look
from holdfast.report.wording import markup

WIDTH, HEIGHT = 1160, 400
LETTER, LEGEND_SAMPLE, LEGEND_ROW = 6.7, 62, 22
PANEL = 0.46
"""Width of each of the two panels as a share of the drawing."""

MOST_LEVELS = 3
"""Levels of chance that are drawn; entrants that hold more differing shares tell theirs under the pointer."""


def course_of_choices(drifts: Sequence[Drift], look: Mapping[str, Look]) -> Figure | None:
    """Share of the first choice that is held against the step, and share let go; nothing where nobody chose anew."""
    if all(drift.choices < 2 for drift in drifts):
        return None
    shown = [drift for drift in drifts if drift.choices]
    end = max(step for drift in shown for step in drift.line(Reading.of_the_first))
    height = max(HEIGHT, LEGEND_ROW * len(shown) + 110)
    right = LEGEND_SAMPLE + LETTER * max(len(drift.name) for drift in shown)
    traces = []
    for drift in shown:
        left = drift.line(Reading.of_the_first)
        if drift.choices == 1:
            # A choice that stands holds all of itself to the end.
            left |= {end: Over(1.0, (1.0, 1.0), len(drift.readings))}
        traces.append(_line(drift, left, look[drift.name], "", "of the first choice, held"))
        traces.append(_line(drift, drift.line(Reading.turnovers), look[drift.name], "2", "let go"))
    levels = sorted({_chance(drift) for drift in shown})
    share: dict[str, Any] = {"range": [-0.03, 1.05], "tickformat": ".0%"}
    figure = {
        **layout(WIDTH, height),
        "margin": {"l": 60, "r": right, "t": 44, "b": 56},
        "xaxis": {**axis("optimizer step"), "domain": [0.0, PANEL], "anchor": "y"},
        "xaxis2": {**axis("optimizer step"), "domain": [1.0 - PANEL, 1.0], "anchor": "y2", "matches": "x"},
        "yaxis": {**axis(""), **share, "anchor": "x"},
        "yaxis2": {**axis(""), **share, "anchor": "x2"},
        "legend": {"x": 1.015, "y": 1.0, "yanchor": "top", "tracegroupgap": 0},
        "shapes": _levels(levels) if len(levels) <= MOST_LEVELS else [],
        "annotations": [_heading(0.0, "of the first choice, held"), _heading(1.0 - PANEL, "let go at a choice")],
    }
    return {"data": traces, "layout": figure}


def _line(drift: Drift, points: Mapping[int, Over], look: Look, panel: str, what: str) -> Figure:
    name, chance = markup(drift.name), _chance(drift)
    by_chance = percent(1 - chance if panel else chance)
    return {
        "type": "scatter",
        "name": name,
        "legendgroup": name,
        "showlegend": not panel,
        "x": list(points),
        "y": [round(found.mean, 4) for found in points.values()],
        "xaxis": f"x{panel}",
        "yaxis": f"y{panel}",
        "mode": "lines+markers",
        "line": {"color": look.colour, "width": 2, "dash": look.dash},
        "marker": {
            "symbol": look.symbol,
            "size": 0.5 * look.size,
            "color": WHITE if drift.at_random else look.colour,
            "line": {"color": look.colour, "width": 1.5},
        },
        "cliponaxis": False,
        "hovertext": [
            f"<b>{name}</b><br>step {step:,}<br>{what}: {spread(found)}<br>by chance: {by_chance}"
            for step, found in points.items()
        ],
        "hoverinfo": "text",
    }


def _levels(levels: Sequence[float]) -> list[dict[str, Any]]:
    """Chance, as lines across the panels."""
    return [
        {
            "type": "line",
            "xref": f"x{panel} domain",
            "yref": f"y{panel}",
            "x0": 0,
            "x1": 1,
            "y0": height,
            "y1": height,
            "line": {"color": INK, "width": 1, "dash": "dot"},
            "layer": "below",
            "opacity": 0.55,
        }
        for level in levels
        for panel, height in (("", level), ("2", 1 - level))
    ]


def _chance(drift: Drift) -> float:
    """Share of any choice that a random one of the last one's size holds, to a tenth of a percent."""
    found = drift.over(lambda reading: reading.held_frac)
    return 0.0 if found is None else round(found.mean, 3)


def _heading(x: float, text: str) -> dict[str, Any]:
    return {**note(x, 1.0, text), "yanchor": "bottom", "yshift": 12, "font": {"size": 13, "color": SOFT}}
