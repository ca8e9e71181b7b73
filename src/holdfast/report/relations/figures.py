"""The figure for print, as PNG and PDF: the size of the update and the measures that go with forgetting most."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from holdfast.report.palette import FAINT, INK, WHITE, looks_of
from holdfast.report.printing import SETTINGS, SMALL, saved, settled
from holdfast.report.relations.analysis import Related
from holdfast.report.relations.panels import panels_of, scale, up

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, PANEL, LEGEND_ROW = 7.0, 1.65, 0.16
"""Inches: width of the figure, height of a panel with its heading, height of a row of the legend."""

ACROSS, MOST = 3, 12
"""Panels side by side, and how many there are at most."""

DOT: Final = 0.36
"""Points of a dot, a pixel of that on the page."""


def relations_figures(related: Related) -> dict[str, bytes | None]:
    """File name -> content."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = geometry_figure(related)
        return {f"geometry.{kind}": saved(figure, kind, trimmed=False) for kind in ("png", "pdf")}


def geometry_figure(related: Related) -> Figure:
    """Small multiples of forgetting against each measure; of many measures the first twelve."""
    from matplotlib.figure import Figure

    panels, looks = panels_of(related, "forgetting")[:MOST], looks_of(related.families)
    rows, columns = ceil(len(panels) / ACROSS), min(len(related.families), 6)
    legend = LEGEND_ROW * ceil(len(related.families) / columns)
    figure = Figure(figsize=(WIDTH, PANEL * rows + legend + 0.1), layout="constrained")
    grid = figure.subplots(rows, ACROSS, squeeze=False, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for family, members in related.families.items():
            axes.plot(
                panel.across(members), up(members, "forgetting"), looks[family].marker, color=looks[family].colour,
                markersize=DOT * looks[family].size, markeredgecolor=WHITE, markeredgewidth=0.4, label=family,
            )  # fmt: skip
        axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=1)
        axes.set_xlim(*scale(panel.across(related.found.checkpoints)))
        strength = ", ".join(filter(None, (panel.strength, panel.published)))
        axes.set_title(f"{panel.title}\n{strength}", fontsize=SMALL, color=INK, loc="left")
        axes.locator_params(axis="x", nbins=5)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("forgetting")
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
    return settled(figure)
