"""The figures for print, as PNG and PDF: what was learned against what was lost, and the scores after every stage."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.report.palette import BETTER, INK, SOFT, WHITE, WORSE, looks_of
from holdfast.report.printing import (
    LETTER,
    PLANE_FRAME,
    ROW,
    SCALE,
    SETTINGS,
    SMALL,
    bare_plane,
    name_beside,
    saved,
)
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.plane import name_places, plane_of, span_of
from holdfast.report.sequence.standing import LEARNT, LOST
from holdfast.report.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS, MOST = 3, 12
"""Matrices side by side, and how many there are at most."""

TINY = 5.5
"""Points of the numbers in the matrices."""


def sequence_figures(found: Analysed) -> dict[str, bytes | None]:
    """File name -> content, or nothing where there is nothing to draw."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        made = {"sequence": plane_figure(found), "matrices": matrix_figure(found)}
        return {
            f"{name}.{kind}": None if figure is None else saved(figure, kind, trimmed=False)
            for name, figure in made.items()
            for kind in ("png", "pdf")
        }


def plane_figure(found: Analysed) -> Figure | None:
    """Everybody on the plane of learning and loss; nothing where either is nowhere defined."""
    plane = plane_of(found)
    if plane is None:
        return None
    look = looks_of(each.name for each in found.sequences)
    figure, axes = bare_plane(plane.across, plane.up)
    axes.axhline(0.0, color=SOFT, linewidth=0.7, linestyle=":")
    places = name_places(plane, PLANE_FRAME, LETTER, ROW, SCALE)
    for (each, (x, y)), where in zip(plane.spots, places, strict=True):
        mine, control = look[each.name], each.name in found.controls
        axes.plot(span_of(each.numbers[LEARNT]), (y, y), color=mine.colour, alpha=0.5, linewidth=0.8)
        axes.plot((x, x), span_of(each.numbers[LOST]), color=mine.colour, alpha=0.5, linewidth=0.8)
        axes.plot(
            x, y, mine.marker, color=mine.colour, markersize=0.45 * mine.size,
            markerfacecolor=WHITE if control else mine.colour, markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
        name_beside(axes, each.name, (x, y), where, INK, bold=each.name == found.reference)
    axes.set_xlabel("learning accuracy: each task just after it was trained  (better \N{RIGHTWARDS ARROW})")
    axes.set_ylabel("backward transfer (GEM)  (better \N{RIGHTWARDS ARROW})")
    return figure


def matrix_figure(found: Analysed) -> Figure | None:
    """Scores after every stage in the first order, a matrix an entrant; of many entrants the first twelve."""
    from matplotlib.figure import Figure

    order = found.evidence.orders[0] if found.evidence.orders else ()
    rows = [each for each in found.sequences if any(chain.order == order for chain in each.row.chains)][:MOST]
    if not rows:
        return None
    count, columns = len(order), min(ACROSS, len(rows))
    down = ceil(len(rows) / columns)
    size = (7.0, (0.16 * (count + 1) + 0.95) * down)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, columns, squeeze=False)
    tasks = (*order, *found.evidence.keep)
    matrices = [_means(found, each, order, tasks) for each in rows]
    extent = {unit: _extent(found, matrices, tasks, unit) for unit in {found.scores.base(task).unit for task in tasks}}
    for axes, each, means in zip(grid.flat, rows, matrices, strict=False):
        _draw(axes, found, means, tasks, count, extent)
        axes.set_title(each.name, fontsize=SMALL, color=INK, loc="left")
    for axes in grid.flat[len(rows) :]:
        axes.set_visible(False)
    return figure


def _means(found: Analysed, each: Measured, order: tuple[str, ...], tasks: tuple[str, ...]) -> np.ndarray:
    """Stages by tasks, the untouched base first; means over seeds."""
    chains = [chain for chain in each.row.chains if chain.order == order]
    base = [found.scores.base(task).mean for task in tasks]
    after = [
        [
            np.mean([found.scores.of(chain.stages[stage].test, task, each.name).mean for chain in chains])
            for task in tasks
        ]
        for stage in range(len(order))
    ]
    return np.array([base, *after])


def _extent(found: Analysed, matrices: list[np.ndarray], tasks: tuple[str, ...], unit: str) -> float:
    """The largest change in a unit, at which the colour is full."""
    columns = [place for place, task in enumerate(tasks) if found.scores.base(task).unit == unit]
    return max((float(np.abs(means - means[0])[:, columns].max()) for means in matrices), default=0.0) or 1.0


def _draw(
    axes: Axes, found: Analysed, means: np.ndarray, tasks: tuple[str, ...], count: int, extent: dict[Any, float]
) -> None:
    shades = np.ones((*means.shape, 3))
    for column, task in enumerate(tasks):
        change = (means[:, column] - means[0, column]) / extent[found.scores.base(task).unit]
        for row, share in enumerate(change):
            end = np.array(BETTER if share > 0 else WORSE) / 255
            shades[row, column] = 1 + min(abs(share), 1.0) * (end - 1)
    axes.imshow(shades, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    for row, column in np.ndindex(*means.shape):
        axes.text(column, row, number(float(means[row, column]), 2), ha="center", va="center", fontsize=TINY, color=INK)
        if row == column + 1 <= count:
            left, right, top, foot = column - 0.5, column + 0.5, row - 0.5, row + 0.5
            axes.plot(
                (left, right, right, left, left), (top, top, foot, foot, top), color=INK, linewidth=0.8, clip_on=False
            )
    axes.axvline(count - 0.5, color=WHITE, linewidth=3)
    axes.set_xticks(range(len(tasks)), tasks, rotation=90, fontsize=TINY)
    axes.set_yticks(range(count + 1), ["base", *(f"{n}" for n in range(1, count + 1))], fontsize=TINY)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
