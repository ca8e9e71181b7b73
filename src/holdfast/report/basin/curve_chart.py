"""The curves of the page: a panel an ability, the share of strict directions below it, as a figure for plotly."""

from __future__ import annotations

from typing import Any, Final

from holdfast.core.basin import BasinCurve, BasinVerdict, BasinWidth, Level
from holdfast.report.basin.grid import LEFT, RIGHT, WIDTH, Grid, axis_id
from holdfast.report.basin.phrases import share_text, sigma_text, told
from holdfast.report.basin.scale import sigma_axis
from holdfast.report.basin.seen import RANDOM, TOWARD, Seen, sigmas_of
from holdfast.report.frame import Figure, bar, layout, note, small_axis
from holdfast.report.hover import fact
from holdfast.report.labels import Pair
from holdfast.report.palette import FAINT, HAIR, INK, SHADE, SOFT, WHITE, Look
from holdfast.report.wording import markup, number, span

PANEL, STRIP, BETWEEN, FOOT, HEAD = 236, 34, 14, 74, 40
"""Pixels: height of a panel and of the strip below it, between the two, below the strip, above the panel."""

SCORES: Final = (-0.04, 1.04)


def curve_chart(view: Seen) -> Figure | None:
    """The scores of every ability along every kind of direction; nothing where no curve was walked."""
    if not view.walked:
        return None
    ends = sigmas_of(view)
    grid = Grid(len(view.walked), HEAD + PANEL + BETWEEN + STRIP + FOOT)
    shown: dict[str, Any] = {
        **layout(WIDTH, grid.height),
        "margin": {"l": LEFT, "r": RIGHT, "t": 0, "b": 0},
        "showlegend": False,
        "shapes": [],
        "annotations": [],
    }
    traces: list[Figure] = []
    for place, ability in enumerate(view.walked):
        x, floor = grid.columns(place), HEAD + PANEL
        panel = grid.rows(place, HEAD, floor)
        strip = grid.rows(place, floor + BETWEEN, floor + BETWEEN + STRIP)
        upper, lower = 2 * place + 1, 2 * place + 2
        (left, right), head = x, panel[1]
        x_upper, y_upper = axis_id("x", upper), axis_id("y", upper)
        shared = {**sigma_axis(view, ends, most=grid.ticks), "domain": list(x)}
        shown[f"xaxis{upper}"] = {**shared, "anchor": y_upper, "showticklabels": False, "ticks": "", "title": ""}
        shown[f"xaxis{lower}"] = {**shared, "anchor": f"y{lower}", "matches": x_upper}
        shown[f"yaxis{upper}"] = {**small_axis(x_upper), "range": list(SCORES), "domain": list(panel), "nticks": 6}
        shown[f"yaxis{lower}"] = _share_axis(f"x{lower}", strip)
        name = {**note(left, head, f"<b>{markup(ability)}</b>"), "yanchor": "bottom", "yshift": 8}
        below = {
            **note(right, strip[1], "strict share, random"), "xanchor": "right", "yanchor": "bottom", "yshift": -3,
            "font": {"size": 10.5, "color": SOFT},
        }  # fmt: skip
        shown["annotations"] += [name, below]
        shown["shapes"] += _marks(view, ability, (x_upper, y_upper), ends)
        traces += _panel(
            view, ability, {"xaxis": x_upper, "yaxis": y_upper}, {"xaxis": f"x{lower}", "yaxis": f"y{lower}"}
        )
    return {"data": traces, "layout": shown}


def about(view: Seen, curve: BasinCurve, level: Level, *, lengths: bool = True) -> str:
    """Everything about a distance of a curve in a few lines, as the markup that plotly understands."""
    length = f" (length {sigma_text(view.length(level.sigma))})" if lengths else ""
    lines = [
        f"<b>{markup(curve.ability)}, {markup(view.called(curve.direction))}</b>",
        fact("sigma", f"{sigma_text(level.sigma)}{length}"),
        fact("mean score", f"{number(level.mean)}, the base {number(curve.base)}"),
    ]
    if level.spread is not None:
        lines.append(fact("95% interval of the mean", span(level.spread)))
    if level.band is not None:
        lines.append(fact("nine tenths of the directions", span(level.band)))
    lines.append(fact("strict directions", share_text(level.strict_share)))
    if level.design_effect is not None:
        lines.append(fact("design effect", number(level.design_effect, 2)))
    lines.append(fact("directions", f"{len(level.seeds)}"))
    return "<br>".join(lines)


def about_tuned(view: Seen, each: BasinVerdict) -> str:
    """The same about where a fine-tune stands."""
    lines = [
        f"<b>{markup(view.names[each.tuned])}, {markup(each.ability)}</b>",
        fact("sigma", f"{sigma_text(each.sigma)} (length {sigma_text(each.displacement)})"),
        fact("beside random moves", "not known" if each.verdict == "undecided" else each.verdict),
        fact("lost", told(each.drop)),
    ]
    if each.matched is not None:
        lines.append(fact("random moves as far lost", told(each.matched)))
    return "<br>".join(lines)


def _share_axis(anchor: str, domain: Pair) -> Figure:
    return {
        **small_axis(anchor), "domain": list(domain), "range": [0, 1.08], "tickvals": [0, 1],
        "ticktext": ["0", "all"],
    }  # fmt: skip


def _panel(view: Seen, ability: str, axes: Figure, below: Figure) -> list[Figure]:
    curves = view.main_curves(ability)
    traces = [{**band(curve, view.look[curve.direction]), **axes} for curve in curves if has_band(curve)]
    traces += [{**_line(view, curve), **axes} for curve in reversed(curves)]
    base = view.base_scores[ability][0]
    for tuned in view.tuned:
        each = view.verdict(ability, tuned)
        if each is not None:
            traces += [{**spot, **axes} for spot in tuned_spots(view, each, base)]
    traces += [{**_strict(view, curve), **below} for curve in curves if curve.direction == RANDOM]
    return traces


def has_band(curve: BasinCurve) -> bool:
    """Whether several directions were walked at every distance."""
    return all(level.band is not None for level in curve.levels)


def band(curve: BasinCurve, look: Look) -> Figure:
    """What the middle nine tenths of the directions score."""
    bands = [(level.sigma, level.band) for level in curve.levels if level.band is not None]
    x = [sigma for sigma, _ in bands]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *reversed(x)],
        "y": [*(band[0] for _, band in bands), *(band[1] for _, band in reversed(bands))],
        "fill": "toself",
        "fillcolor": look.pale.replace("0.6)", "0.16)"),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _line(view: Seen, curve: BasinCurve) -> Figure:
    look = view.look[curve.direction]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": markup(view.called(curve.direction)),
        "x": [level.sigma for level in curve.levels],
        "y": [level.mean for level in curve.levels],
        "line": {"color": look.colour, "width": 2.2 if curve.direction == RANDOM else 1.6, "dash": look.dash},
        "marker": {"symbol": look.symbol, "size": 6, "color": look.colour, "line": {"color": WHITE, "width": 1}},
        "hovertext": [about(view, curve, level) for level in curve.levels],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def tuned_spots(view: Seen, each: BasinVerdict, base: float) -> list[Figure]:
    """A fine-tune where it stands, and hollow what random moves of the same length score."""
    if each.drop.value is None:
        return []
    look = view.look[TOWARD + each.tuned]
    told_ = about_tuned(view, each)
    spots = [_spot(each.sigma, base, each.drop.value, each.drop.spread, told_, look.colour, hollow=False)]
    if each.matched is not None and each.matched.value is not None:
        blank = _spot(each.sigma, base, each.matched.value, each.matched.spread, told_, look.colour, hollow=True)
        spots.insert(0, blank)
    return spots


def _spot(
    sigma: float, base: float, lost: float, spread: Pair | None, text: str, colour: str, *, hollow: bool
) -> Figure:
    score = base - lost
    ends = (score, score) if spread is None else (base - spread[1], base - spread[0])
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [sigma],
        "y": [score],
        "marker": {
            "symbol": "circle" if hollow else "diamond",
            "size": 9 if hollow else 12,
            "color": WHITE if hollow else colour,
            "line": {"color": colour if hollow else INK, "width": 1.6 if hollow else 1},
        },
        "error_y": bar(score, ends, colour),
        "hovertext": [text],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _strict(view: Seen, curve: BasinCurve) -> Figure:
    look = view.look[curve.direction]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [level.sigma for level in curve.levels],
        "y": [level.strict_share for level in curve.levels],
        "fill": "tozeroy",
        "fillcolor": look.pale.replace("0.6)", "0.25)"),
        "line": {"color": look.colour, "width": 1.4},
        "hovertext": [about(view, curve, level) for level in curve.levels],
        "hoverinfo": "text",
    }


def _marks(view: Seen, ability: str, axes: tuple[str, str], ends: Pair) -> list[Figure]:
    """The interval of the width, the score of the base, what may be lost, and a guess."""
    x, y = axes
    shapes: list[Figure] = []
    width = view.width(ability)
    if width is not None and (interval := shaded(width, ends)) is not None:
        shapes.append(
            {
                "type": "rect", "xref": x, "yref": f"{y} domain", "x0": interval[0], "x1": interval[1], "y0": 0,
                "y1": 1, "fillcolor": SHADE if width.sigma is None else HAIR, "line": {"width": 0},
                "layer": "below",
            }
        )  # fmt: skip
    base, chance, _ = view.base_scores[ability]
    lines = [(base, INK, "dot"), (base - view.measurement.tolerance, SOFT, "dash"), (chance, FAINT, "solid")]
    for height, colour, dash in lines:
        line = {"color": colour, "width": 1, "dash": dash}
        across = {"type": "line", "xref": f"{x} domain", "yref": y, "x0": 0, "x1": 1, "y0": height, "y1": height}
        shapes.append({**across, "line": line, "layer": "below"})
    return shapes


def shaded(width: BasinWidth, ends: Pair) -> Pair | None:
    """Where on the axis a width may lie; to the end of the axis where an end of it was not found."""
    if width.low is None and width.high is None:
        return None
    low, high = width.low or ends[0], width.high or ends[1]
    return (low, high) if low < high else None
