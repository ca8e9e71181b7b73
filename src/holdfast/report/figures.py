"""The two charts of the page for print, as PNG and PDF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison
from holdfast.report.course import Line, course_of
from holdfast.report.labels import Drawing, placed
from holdfast.report.palette import FAINT, INK, PALE, SHADE, SOFT, WHITE, Look, looks
from holdfast.report.plane import Dot, Plane, plane_of
from holdfast.report.printing import DASHES, INCH, SETTINGS, SMALL, TEXT, name_beside, saved
from holdfast.report.wording import SCORES, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLANE_SIZE, PLANE_BOX = (7.0, 4.3), (0.085, 0.115, 0.9, 0.865)
COURSE_SIZE, LEGEND_ROW = (7.0, 2.7), 0.135
"""Inches; the height of a row of the legend too."""

LETTER, BOLD, ROW = 4.7, 1.15, 9.5
"""Of the names beside the dots: width of a letter in points, by what a bold one is wider, height of a line."""


def figures(comparison: Comparison) -> dict[str, bytes | None]:
    """File name -> content, or nothing where there is nothing to draw."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        drawn = {"trade-off": tradeoff_figure(comparison), "retention": retention_figure(comparison)}
        return {
            f"{name}.{kind}": None if figure is None else saved(figure, kind)
            for name, figure in drawn.items()
            for kind in ("png", "pdf")
        }


def tradeoff_figure(comparison: Comparison) -> Figure | None:
    """Stability against plasticity; nothing where no entrant has a result."""
    from matplotlib.figure import Figure

    plane, look = plane_of(comparison), looks(comparison)
    if not plane.dots:
        return None
    figure = Figure(figsize=PLANE_SIZE)
    axes = figure.add_axes(PLANE_BOX)
    axes.set_xlim(*plane.kept_range)
    axes.set_ylim(*plane.target_range)
    corner = (plane.kept_range[0], plane.target_range[0])
    if plane.stairs:
        axes.fill(*zip(*plane.stairs, corner, strict=True), color=SHADE, linewidth=0, zorder=0.5)
        axes.plot(*zip(*plane.stairs, strict=True), color=FAINT, linewidth=1.1, zorder=1.6)
    axes.axhline(plane.base.target, color=SOFT, linewidth=0.7, linestyle=":")
    axes.axvline(plane.base.kept, color=SOFT, linewidth=0.7, linestyle=":")
    for name, path in plane.paths.items():
        style = DASHES[look[name].dash]
        axes.plot(*zip(*path, strict=True), color=look[name].colour, alpha=0.3, linewidth=0.8, linestyle=style)
    for dot in plane.dots:
        if dot.point.name in plane.best:
            _rewind(axes, dot, plane.best[dot.point.name], look[dot.point.name])
    for dot in (*plane.dots, plane.base):
        _draw(axes, dot, look[dot.point.name])
    _name(axes, (plane.base, *plane.dots), plane)
    kept = f"kept: {SCORES[comparison.forgetting_unit]}, over {listed(comparison.headline, most=6)}"
    better = "  (better \N{RIGHTWARDS ARROW})"
    axes.set_xlabel(kept + better, labelpad=5)
    axes.set_ylabel(f"learned: {SCORES[comparison.gain_unit]}, on {listed(comparison.learn)}{better}", labelpad=5)
    return figure


def retention_figure(comparison: Comparison) -> Figure | None:
    """Kept score and target score against the step; nothing where there are no checkpoints."""
    from matplotlib.figure import Figure

    course, look = course_of(comparison), looks(comparison)
    if not course.lines:
        return None
    width, height = COURSE_SIZE[0], max(COURSE_SIZE[1], LEGEND_ROW * len(course.lines) + 0.7)
    figure = Figure(figsize=(width, height))
    bottom, top = 0.42 / height, 1 - 0.3 / height
    kept = figure.add_axes((0.065, bottom, 0.355, top - bottom))
    target = figure.add_axes((0.485, bottom, 0.355, top - bottom))
    for line in sorted(course.lines, key=lambda line: -line.kept[-1]):
        for axes, values in ((kept, line.kept), (target, line.target)):
            _plot(axes, line, values, look[line.point.name])
    levels = ((kept, course.base_kept, comparison.forgetting_unit), (target, course.base_target, comparison.gain_unit))
    for axes, level, unit in levels:
        if level is not None:
            axes.axhline(level, color=SOFT, linewidth=0.7, linestyle=":")
        what = "kept" if axes is kept else "learned"
        axes.set_title(f"{what}: {SCORES[unit]}", fontsize=TEXT, color=SOFT, loc="left")
        axes.set_xlabel("optimizer step", labelpad=3)
        axes.set_xticks(list(course.ticks.values()), [f"{step:,}" for step in course.ticks])
    handles, names = kept.get_legend_handles_labels()
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=(0.85, top), frameon=False, fontsize=SMALL)
    return figure


def _rewind(axes: Axes, dot: Dot, place: tuple[float, float], look: Look) -> None:
    """A line from where an entrant ended to its best points, and an open mark there."""
    axes.plot((dot.kept, place[0]), (dot.target, place[1]), color=look.colour, linewidth=0.9, zorder=2.6)
    axes.plot(
        *place,
        marker=look.marker,
        markersize=0.36 * look.size,
        markerfacecolor=WHITE,
        markeredgecolor=look.colour,
        markeredgewidth=1.0,
        zorder=2.8,
        clip_on=False,
    )


def _draw(axes: Axes, dot: Dot, look: Look) -> None:
    """A dot with its two bars."""
    axes.plot(dot.kept_span, (dot.target, dot.target), color=look.colour, linewidth=0.9, alpha=PALE, zorder=2.5)
    axes.plot((dot.kept, dot.kept), dot.target_span, color=look.colour, linewidth=0.9, alpha=PALE, zorder=2.5)
    axes.plot(
        dot.kept,
        dot.target,
        marker=look.marker,
        markersize=0.5 * look.size,
        markerfacecolor=look.colour if dot.point.ranked else WHITE,
        markeredgecolor=WHITE if dot.point.ranked else look.colour,
        markeredgewidth=0.7 if dot.point.ranked else 1.2,
        zorder=4 if dot.point.name == BASE else 3,
        clip_on=False,
    )


def _name(axes: Axes, dots: Sequence[Dot], plane: Plane) -> None:
    """The names beside the dots, placed for the size that the figure has."""
    frame = (PLANE_SIZE[0] * PLANE_BOX[2] * INCH, PLANE_SIZE[1] * PLANE_BOX[3] * INCH)
    at = Drawing(plane.kept_range, plane.target_range, frame).at
    bars = [(*at(dot.kept_span[0], dot.target), *at(dot.kept_span[1], dot.target)) for dot in dots]
    bars += [(*at(dot.kept, dot.target_span[1]), *at(dot.kept, dot.target_span[0])) for dot in dots]
    bars = [(x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5) for x0, y0, x1, y1 in bars]
    letters = [LETTER * (BOLD if dot.point.on_frontier else 1.0) for dot in dots]
    sizes = [(letter * len(dot.point.name) + 3, ROW) for letter, dot in zip(letters, dots, strict=True)]
    places = placed([at(dot.kept, dot.target) for dot in dots], sizes, bars, frame, scale=0.6)
    for dot, place in zip(dots, places, strict=True):
        colour = INK if dot.point.ranked else SOFT
        name_beside(axes, dot.point.name, (dot.kept, dot.target), place, colour, bold=dot.point.on_frontier)


def _plot(axes: Axes, line: Line, values: Sequence[float], look: Look) -> None:
    axes.plot(
        line.places,
        values,
        label=line.point.name,
        color=look.colour,
        linewidth=1.2 if line.point.ranked else 0.8,
        linestyle=DASHES[look.dash],
        marker=look.marker,
        markersize=0.27 * look.size,
        markerfacecolor=look.colour if line.point.ranked else WHITE,
        markeredgewidth=0.8,
    )
