"""The plane of a rewinding for print, as PNG and PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.report.palette import INK, SOFT, WHITE, looks_of
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
from holdfast.report.rewinding.plane import name_places, rewind_plane
from holdfast.report.rewinding.ways import Rewound
from holdfast.report.wording import SCORES, listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE_MARK, FINAL_MARK, CHOSEN_MARK = "D", "s", "*"


def rewinding_figures(view: Rewound) -> dict[str, bytes | None]:
    """File name -> content, or nothing where there is nothing to draw."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = plane_figure(view)
        return {
            f"rewinding.{kind}": None if figure is None else saved(figure, kind, trimmed=False)
            for kind in ("png", "pdf")
        }


def plane_figure(view: Rewound) -> Figure | None:
    """The paths on the plane of what was kept and what was learned; nothing where nothing was to be kept."""
    plane = rewind_plane(view)
    if plane is None:
        return None
    look = looks_of(way.name for way in view.ways)
    figure, axes = bare_plane(plane.kept_range, plane.target_range)
    kept, target = plane.named[0].at
    axes.axhline(target, color=SOFT, linewidth=0.7, linestyle=":")
    axes.axvline(kept, color=SOFT, linewidth=0.7, linestyle=":")
    for order, (name, line) in enumerate(plane.lines):
        colour, front = look[name].colour, 2.6 - 0.1 * order
        spots = [at for _, at in line]
        axes.plot(
            *zip(*spots, strict=True), color=colour, marker="o", markersize=3, linewidth=0.9 if order else 1.3,
            label=name, zorder=front,
        )  # fmt: skip
        for x, y in (at for each, at in line if each.beyond):
            axes.plot(x, y, "o", color=colour, markersize=3.5, markerfacecolor=WHITE, zorder=front)
    own = look[view.ways[0].name].colour
    places = name_places(plane, PLANE_FRAME, LETTER, ROW, SCALE)
    for each, where in zip(plane.named, places, strict=True):
        x, y = each.at
        chosen, base = each.text.startswith("chosen"), each.text.startswith("base")
        colour = own if chosen else INK
        # Bars lie on the lines as often as not: the ends are marked.
        axes.plot(each.kept_span, (y, y), color=colour, marker="|", markersize=4, linewidth=0.9, zorder=2.9)
        axes.plot((x, x), each.target_span, color=colour, marker="_", markersize=4, linewidth=0.9, zorder=2.9)
        marker, size = (CHOSEN_MARK, 10.0) if chosen else (BASE_MARK if base else FINAL_MARK, 5.0)
        axes.plot(
            x, y, marker, color=colour, markersize=size, markeredgecolor=WHITE, markeredgewidth=0.6, zorder=3,
            clip_on=False,
        )  # fmt: skip
        name_beside(axes, each.text, each.at, where, INK, bold=True)
    better = "  (better \N{RIGHTWARDS ARROW})"
    axes.set_xlabel(
        f"kept: {SCORES[view.held.kept_unit]}, over {listed(view.held.headline, most=6)}{better}", labelpad=5
    )
    axes.set_ylabel(f"learned: {SCORES[view.held.target_unit]}, on {listed(view.held.learn, most=3)}{better}")
    if len(view.ways) > 1:
        axes.legend(frameon=False, fontsize=SMALL, loc="best")
    return figure
