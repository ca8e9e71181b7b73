"""The figures of a diagnosis for print, as PNG and PDF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from holdfast.core.diagnosis import Diagnosis, Site
from holdfast.report.diagnosis.activations import ROLE_COLOURS, measures_of
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.heat import HeatLayer, HeatMap, heat_map
from holdfast.report.diagnosis.phrases import place, power
from holdfast.report.diagnosis.profiles import Drawn, Stroke, curves_of, panels_of, span_of
from holdfast.report.palette import SOFT, WHITE
from holdfast.report.printing import SETTINGS, SMALL, TEXT, saved, settled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 7.0
PANEL: Final = 0.85
ROW: Final = 0.17
"""Inches: width of a figure, height of a panel of profiles, height of a row."""

MAPS: Final = (
    "relative_size_frobenius",
    "stable_rank",
    "subspace_distance/right/8",
    "drift_relative/general",
    "drift_ratio_relative",
)
"""Quantities that have a map in print, where there are numbers."""


MOST_NUMBERED: Final = 14
"""With more blocks than this the cells of a map hold no numbers."""


def diagnosis_figures(diagnosis: Diagnosis) -> dict[str, bytes | None]:
    """File name -> content, or nothing where there is nothing to draw."""
    import matplotlib

    findings = Findings(diagnosis)
    with matplotlib.rc_context(SETTINGS):
        drawn = {
            "map": map_figure(findings),
            "profiles": profile_figure(findings),
            "activations": activation_figure(findings),
        }
        return {
            f"{name}.{kind}": None if figure is None else saved(figure, kind, trimmed=False)
            for name, figure in drawn.items()
            for kind in ("png", "pdf")
        }


def map_figure(findings: Findings) -> Figure | None:
    """Blocks against modules, a panel a quantity; nothing where no number lies inside a block."""
    from matplotlib.figure import Figure

    heat = heat_map(findings)
    layers = [] if heat is None else [layer for name in MAPS for layer in heat.layers if layer.name == name]
    if heat is None or not heat.rows or not layers:
        return None
    figure = Figure(figsize=(WIDTH, (ROW * len(heat.rows) + 0.45) * len(layers)), layout="constrained")
    for axes, layer in zip(figure.subplots(len(layers), 1, squeeze=False)[:, 0], layers, strict=True):
        _map(axes, heat, layer)
    return settled(figure)


def profile_figure(findings: Findings) -> Figure | None:
    """Profiles, modules down and depths across; nothing without curves."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    curves = curves_of(findings)
    if not curves:
        return None
    panels = panels_of(findings, curves)
    low, high = span_of(curves[site.name] for _, row in panels.rows for site in row if site is not None)
    across = max(len(panels.blocks), 1)
    figure = Figure(figsize=(WIDTH, PANEL * len(panels.rows) + 0.4), layout="constrained")
    grid = figure.subplots(len(panels.rows), across, squeeze=False, sharey=True)
    for axes_row, (label, row) in zip(grid, panels.rows, strict=True):
        axes_row[0].set_ylabel(label, fontsize=SMALL)
        for axes, site in zip(axes_row, row, strict=True):
            _profiles(axes, site, curves)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(_power)
            axes.yaxis.set_minor_locator(NullLocator())
            axes.set_ylim(10**low, 10**high)
    for axes, block in zip(grid[0], panels.blocks, strict=False):
        axes.set_title(f"block {block}", fontsize=TEXT, color=SOFT, loc="left")
    handles = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False
    )
    return settled(figure)


def activation_figure(findings: Findings) -> Figure | None:
    """Measures of activations with intervals and nulls, a row a module; nothing without prompts."""
    from matplotlib.figure import Figure

    measures, sites = measures_of(findings)
    if not measures or not sites:
        return None
    figure = Figure(figsize=(WIDTH, ROW * len(sites) + 0.7), layout="constrained")
    grid = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    for axes, measure in zip(grid, measures, strict=True):
        axes.set_title(measure.title, fontsize=TEXT, color=SOFT, loc="left")
        for role, marks in measure.marks.items():
            colour = ROLE_COLOURS[role]
            for mark in marks:
                if mark.span is not None:
                    axes.plot(mark.span, (mark.row, mark.row), color=colour, linewidth=1.0)
            axes.plot([m.value for m in marks], [m.row for m in marks], "o", color=colour, markersize=3.5, label=role)
            nulls = [(m.null, m.row) for m in marks if m.null is not None]
            axes.plot([x for x, _ in nulls], [y for _, y in nulls], "|", color=SOFT, markersize=6)
        axes.set_yticks(range(len(sites)), [place(site) for site in sites])
        axes.set_ylim(len(sites) - 0.5, -0.5)
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(
        handles,
        [f"{name} prompts" for name in names],
        loc="outside lower center",
        ncols=2,
        fontsize=SMALL,
        frameon=False,
    )
    return settled(figure)


def _power(value: float, _: object = None) -> str:
    """A power of ten without formulas, in which the names of modules might be caught too."""
    return power(round(math.log10(value)))


def _map(axes: Axes, heat: HeatMap, layer: HeatLayer) -> None:
    from matplotlib.colors import to_rgb

    colours = [[to_rgb(WHITE if i is None else layer.cells[i].background) for i in row.sites] for row in heat.rows]
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    axes.set_xticks([right - 0.5 for right in range(1, len(heat.blocks))], minor=True)
    axes.set_yticks([down - 0.5 for down in range(1, len(heat.rows))], minor=True)
    axes.grid(visible=False)
    axes.grid(visible=True, which="minor", color=WHITE, linewidth=1.0)
    axes.spines[:].set_visible(False)
    axes.set_title(layer.title, fontsize=TEXT, color=SOFT, loc="left")
    axes.set_yticks(range(len(heat.rows)), [row.label for row in heat.rows])
    step = max(1, len(heat.blocks) // 14)
    axes.set_xticks(range(0, len(heat.blocks), step), [str(block) for block in heat.blocks[::step]])
    axes.tick_params(which="both", length=0)
    if len(heat.blocks) > MOST_NUMBERED:
        return
    for down, row in enumerate(heat.rows):
        for right, i in enumerate(row.sites):
            if i is not None:
                axes.text(right, down, layer.cells[i].text, ha="center", va="center", fontsize=SMALL - 1.5)


def _profiles(axes: Axes, site: Site | None, curves: dict[str, list[tuple[Stroke, Drawn]]]) -> None:
    for stroke, each in [] if site is None else curves[site.name]:
        values = [float("nan") if value is None else value for value in each.values]
        width = 0.6 * stroke.width
        axes.plot(each.directions, values, color=stroke.colour, linewidth=width, label=stroke.title)
