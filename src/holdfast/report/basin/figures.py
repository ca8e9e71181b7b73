"""The curves of a measurement for print, and where its fine-tunes stand, as PNG and PDF."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from holdfast.report.basin.curve_chart import SCORES, has_band, shaded
from holdfast.report.basin.phrases import sigma_text
from holdfast.report.basin.scale import tick_sigmas
from holdfast.report.basin.seen import RANDOM, TOWARD, Seen, sigmas_of
from holdfast.report.basin.strip_chart import HALF, stretches
from holdfast.report.labels import Pair
from holdfast.report.palette import FAINT, HAIR, INK, SOFT, WHITE
from holdfast.report.printing import DASHES, SETTINGS, SMALL, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS: Final = 3
WIDE: Final = 7.0
TALL, LONE_TALL = 2.25, 3.2
"""Inches: of all panels side by side, of a row of them, of one that is alone."""


def basin_figures(view: Seen) -> dict[str, bytes | None]:
    """File name -> content, or nothing where there is nothing to draw."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        made = {"basins": curve_figure(view), "fine-tunes": strip_figure(view)}
        return {
            f"{name}.{kind}": None if figure is None else saved(figure, kind)
            for name, figure in made.items()
            for kind in ("png", "pdf")
        }


def curve_figure(view: Seen) -> Figure | None:
    """A panel an ability: its score along every kind of direction; nothing where no curve was walked."""
    from matplotlib.figure import Figure

    abilities = view.walked
    if not abilities:
        return None
    ends, across = sigmas_of(view), min(ACROSS, len(abilities))
    rows = ceil(len(abilities) / across)
    tall = LONE_TALL if len(abilities) == 1 else TALL * rows
    figure = Figure(figsize=(WIDE, tall + 0.4), layout="constrained")
    grid = figure.subplots(rows, across, squeeze=False, sharey=True)
    for axes, ability in zip(grid.flat, abilities, strict=False):
        _draw_curves(axes, view, ability, ends)
    for axes in grid.flat[len(abilities) :]:
        axes.set_visible(False)
    drawn = {text: line for axes in grid.flat for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    drawn = {name: drawn[name] for kind in view.directions if (name := view.called(kind)) in drawn}
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL)
    return figure


def strip_figure(view: Seen) -> Figure | None:
    """A row an ability, the fine-tunes on the axis of distances; nothing without fine-tunes."""
    from matplotlib.figure import Figure

    abilities = view.judged
    if not abilities:
        return None
    ends = sigmas_of(view)
    figure = Figure(figsize=(WIDE, 0.32 * len(abilities) + 1.1), layout="constrained")
    axes = figure.add_subplot()
    for row, ability in enumerate(abilities):
        _draw_bar(axes, view, ability, row, ends)
    for tuned in view.tuned:
        rows = [(row, each) for row, a in enumerate(abilities) if (each := view.verdict(a, tuned)) is not None]
        x, y = [each.sigma for _, each in rows], [row for row, _ in rows]
        look = view.look[TOWARD + tuned]
        axes.plot(
            x, y, "D", color=look.colour, markersize=5, markeredgecolor=WHITE, markeredgewidth=0.6,
            label=view.names[tuned],
        )  # fmt: skip
    _distances(axes, view, ends, most=7)
    axes.set_yticks(range(len(abilities)), abilities)
    axes.set_ylim(len(abilities) - 0.5, -0.5)
    axes.grid(visible=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL)
    return figure


def _draw_curves(axes: Axes, view: Seen, ability: str, ends: Pair) -> None:
    width = view.width(ability)
    if width is not None and (interval := shaded(width, ends)) is not None:
        axes.axvspan(*interval, color=HAIR, linewidth=0, zorder=0.5)
    base, chance, _ = view.base_scores[ability]
    axes.axhline(base, color=INK, linewidth=0.6, linestyle=":")
    axes.axhline(base - view.measurement.tolerance, color=SOFT, linewidth=0.6, linestyle="--")
    axes.axhline(chance, color=FAINT, linewidth=0.6)
    for curve in reversed(view.main_curves(ability)):
        look, sigmas = view.look[curve.direction], [level.sigma for level in curve.levels]
        if has_band(curve):
            low, high = zip(*(level.band for level in curve.levels if level.band is not None), strict=True)
            axes.fill_between(sigmas, low, high, color=look.colour, alpha=0.16, linewidth=0)
        means = [level.mean for level in curve.levels]
        axes.plot(
            sigmas, means, DASHES[look.dash], color=look.colour, marker=look.marker, markersize=2.2,
            linewidth=1.3 if curve.direction == RANDOM else 0.9, label=view.called(curve.direction),
        )  # fmt: skip
    for tuned in view.tuned:
        each = view.verdict(ability, tuned)
        if each is None or each.drop.value is None:
            continue
        colour = view.look[TOWARD + tuned].colour
        spots = [(each.drop, "D", colour), *([] if each.matched is None else [(each.matched, "o", WHITE)])]
        for record, marker, face in reversed(spots):
            if record.value is None:
                continue
            lost = record.spread or (record.value, record.value)
            axes.plot((each.sigma,) * 2, (base - lost[0], base - lost[1]), color=colour, linewidth=0.8)
            axes.plot(
                each.sigma, base - record.value, marker, color=colour, markersize=4.5, markerfacecolor=face,
                markeredgewidth=0.7, zorder=3,
            )  # fmt: skip
    _distances(axes, view, ends, most=4)
    axes.set_ylim(*SCORES)
    axes.set_title(ability, fontsize=SMALL, color=INK, loc="left")


def _distances(axes: Axes, view: Seen, ends: Pair, most: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*ends)
    ticks = tick_sigmas(*ends, most)
    axes.set_xticks(ticks, [f"{sigma_text(each)}\n{sigma_text(view.length(each))}" for each in ticks])
    axes.minorticks_off()
    axes.set_xlabel("sigma, and length below it", fontsize=SMALL)


def _draw_bar(axes: Axes, view: Seen, ability: str, row: int, ends: Pair) -> None:
    for (left, right), colour in stretches(view, ability, ends):
        axes.barh(row, right - left, height=2 * HALF, left=left, color=colour, linewidth=0, zorder=1)
