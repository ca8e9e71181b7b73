"""The charts of the page of a rewinding, as figures for plotly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from holdfast.metrics.tradeoff import BASE
from holdfast.report.frame import Figure, axis, bar, crosshair, layout, name_beside, note
from holdfast.report.hover import fact
from holdfast.report.labels import Pair
from holdfast.report.palette import FAINT, INK, SOFT, WHITE, Look, looks_of
from holdfast.report.rewinding.phrases import place, told, told_signed
from holdfast.report.rewinding.plane import Named, name_places, rewind_plane
from holdfast.report.rewinding.ways import Place, Rewound, Way
from holdfast.report.wording import SCORES, listed, markup, number

WIDTH, HEIGHT = 1160, 560
LEFT, RIGHT, TOP, BOTTOM = 74, 18, 18, 62
PANEL_HEIGHT, PANEL_TOP, PANEL_BOTTOM, GAP = 330, 44, 56, 0.06
LETTER, ROW = 7.0, 15.0
"""Of the names: width of a letter in pixels, height of a line."""

DOT, MARK = 7.5, 15.0
"""Pixels: a point of a path, a point that has a name."""

MOST_TASKS = 12
CHANGES: Final = {"frac": "in scores from 0 to 1", "nats/token": "nats per token"}


def plane_chart(view: Rewound) -> Figure | None:
    """The paths on the plane of what was kept and what was learned; nothing where nothing was to be kept."""
    plane = rewind_plane(view)
    if plane is None:
        return None
    look = looks_of(way.name for way in view.ways)
    own = look[view.ways[0].name]
    traces = [_line(name, line, look[name], view) for name, line in reversed(plane.lines)]
    traces += [_mark(each, _colour(each.text, own), view) for each in plane.named]
    kept = f"kept: {SCORES[view.held.kept_unit]}, over {listed(view.held.headline, most=7)}"
    target = f"learned: {SCORES[view.held.target_unit]}, on {listed(view.held.learn, most=4)}"
    better = "   <b>better \N{RIGHTWARDS ARROW}</b>"
    frame = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
    places = name_places(plane, frame, LETTER, ROW)
    shown = {
        **layout(WIDTH, HEIGHT),
        "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM},
        "showlegend": False,
        "xaxis": {**axis(markup(kept) + better), "range": plane.kept_range},
        "yaxis": {**axis(markup(target) + better), "range": plane.target_range},
        # The base lies on lines of the grid as often as not, below which they would not be seen.
        "shapes": [{**shape, "layer": "above"} for shape in crosshair(*plane.named[0].at)],
        "annotations": [
            name_beside(*each.at, f"<b>{markup(each.text)}</b>", where, INK)
            for each, where in zip(plane.named, places, strict=True)
        ],
    }
    return {"data": traces, "layout": shown}


def step_chart(view: Rewound) -> Figure:
    """Gain, forgetting and KL against the relative step, a panel each; what was not measured has none."""
    panels = _panels(view)
    look = looks_of(way.name for way in view.ways)
    width = (1 - GAP * (len(panels) - 1)) / len(panels)
    farthest = max(each.step_frac for way in view.ways for each in way.places)
    shown: dict[str, Any] = {
        **layout(WIDTH, PANEL_HEIGHT),
        "margin": {"l": 56, "r": 14, "t": PANEL_TOP, "b": PANEL_BOTTOM},
        "showlegend": False,
        "shapes": [],
        "annotations": [],
    }
    traces: list[Figure] = []
    for number_, (title, value) in enumerate(panels, start=1):
        left = (number_ - 1) * (width + GAP)
        x, y = f"x{number_}", f"y{number_}"
        shown[f"xaxis{number_}"] = {
            **axis("step from the base, of the whole way"),
            "domain": [left, left + width],
            "anchor": y,
            "range": [-0.03, 1.04 * max(farthest, 1.0)],
            "nticks": 6,
        }
        shown[f"yaxis{number_}"] = {**axis(""), "anchor": x, "nticks": 6, "zeroline": True, "zerolinecolor": FAINT}
        shown["shapes"].append(_upright(view.chosen.step_frac, x, y))
        shown["annotations"].append(
            {**note(left, 1.0, markup(title)), "yanchor": "bottom", "yshift": 10, "font": {"size": 13, "color": SOFT}}
        )
        traces += [_curve(way, value, look[way.name], (x, y), view) for way in reversed(view.ways)]
    return {"data": traces, "layout": shown}


def about(each: Place, name: str, view: Rewound) -> str:
    """Everything about a point in a few lines, as the markup that plotly understands."""
    standing, is_base = each.standing, each.label == BASE
    lines = [f"<b>{'the untouched base' if is_base else markup(f'{name}, t = {place(each.t)}')}</b>{_part(each, view)}"]
    if each.training_step is not None:
        lines.append(fact("optimizer step", f"{each.training_step:,}"))
    if not is_base:
        lines.append(fact("step from the base", f"{number(each.step_frac)} of the whole way"))
    if each.kl_nats is not None:
        lines.append(fact("KL from base", f"{number(each.kl_nats)} nats/token"))
    lines.append(fact("target", number(standing.target)))
    if standing.kept is not None:
        lines.append(fact("kept", number(standing.kept)))
    if is_base:
        return "<br>".join(lines)
    lines += [fact("gain", told(standing.gain)), fact("forgetting", told(standing.forgetting)), ""]
    tasks = [*view.held.learn, *view.held.keep]
    lines += [fact(task, told_signed(standing.changes[task])) for task in tasks[:MOST_TASKS]]
    if len(tasks) > MOST_TASKS:
        lines.append(f"and {len(tasks) - MOST_TASKS} more, in the table below")
    return "<br>".join(lines)


def _part(each: Place, view: Rewound) -> str:
    if each.label == view.chosen.label:
        return ", chosen"
    if each.label == view.final.label:
        return ", finished"
    return ", farther than the end" if each.beyond else ""


def _colour(text: str, own: Look) -> tuple[str, str]:
    """Mark and colour of a point with a name: only the chosen one has those of its path."""
    if text.startswith("chosen"):
        return "star", own.colour
    return ("diamond", INK) if text.startswith("base") else ("square", INK)


def _line(name: str, line: Sequence[tuple[Place, Pair]], look: Look, view: Rewound) -> Figure:
    """A path, its points named as its points are; what lies farther than the end is hollow."""
    return {
        **_strokes(name, [each for each, _ in line], look, view),
        "x": [kept for _, (kept, _) in line],
        "y": [target for _, (_, target) in line],
        "cliponaxis": False,
    }


def _strokes(name: str, places: Sequence[Place], look: Look, view: Rewound) -> Figure:
    first = name == view.ways[0].name
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": markup(name),
        "line": {"color": look.colour, "width": 2.2 if first else 1.5, "dash": look.dash},
        "opacity": 1.0 if first else 0.85,
        "marker": {
            "symbol": look.symbol,
            "size": DOT,
            "color": [WHITE if each.beyond else look.colour for each in places],
            "line": {"color": [look.colour if each.beyond else WHITE for each in places], "width": 1.2},
        },
        "hovertext": [about(each, name, view) for each in places],
        "hoverinfo": "text",
    }


def _mark(each: Named, drawn: tuple[str, str], view: Rewound) -> Figure:
    symbol, colour = drawn
    kept, target = each.at
    return {
        "type": "scatter",
        "mode": "markers",
        "name": markup(each.text),
        "x": [kept],
        "y": [target],
        "marker": {
            "symbol": symbol,
            "size": MARK + 3 if symbol == "star" else MARK - 4,
            "color": colour,
            "line": {"color": WHITE, "width": 1.3},
        },
        # They lie on the lines as often as not: the ends are marked.
        "error_x": {**bar(kept, each.kept_span, colour), "width": 5},
        "error_y": {**bar(target, each.target_span, colour), "width": 5},
        "cliponaxis": False,
        "hovertext": [about(each.place, view.ways[0].name, view)],
        "hoverinfo": "text",
    }


Value = Callable[[Place], float | None]


def _panels(view: Rewound) -> list[tuple[str, Value]]:
    panels: list[tuple[str, Value]] = [
        (f"gain, {CHANGES[view.held.target_unit]}", lambda each: each.standing.gain.value),
        (f"forgetting, {CHANGES[view.held.kept_unit]}", lambda each: each.standing.forgetting.value),
        ("KL from the base, nats per token", lambda each: each.kl_nats),
    ]
    everywhere = [each for way in view.ways for each in way.places]
    return [(title, value) for title, value in panels if any(value(each) is not None for each in everywhere)]


def _curve(way: Way, value: Value, look: Look, axes: tuple[str, str], view: Rewound) -> Figure:
    known = [(each, found) for each in way.places if (found := value(each)) is not None]
    return {
        **_strokes(way.name, [each for each, _ in known], look, view),
        "x": [each.step_frac for each, _ in known],
        "y": [found for _, found in known],
        "xaxis": axes[0],
        "yaxis": axes[1],
    }


def _upright(step_frac: float, x: str, y: str) -> Figure:
    return {
        "type": "line",
        "xref": x,
        "yref": f"{y} domain",
        "x0": step_frac,
        "x1": step_frac,
        "y0": 0,
        "y1": 1,
        "line": {"color": INK, "width": 1, "dash": "dot"},
        "opacity": 0.6,
    }
