"""What every figure for print has in common: its type, its lines, and how it becomes a file."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from holdfast.report.labels import Pair, Placed
from holdfast.report.palette import FAINT, HAIR, INK, SOFT, WHITE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI: Final = 200
INCH: Final = 72.0
"""Points in an inch."""

TEXT, SMALL = 8.0, 7.0
"""Sizes of type, in points."""

PLANE_SIZE, PLANE_BOX = (7.0, 3.9), (0.085, 0.13, 0.9, 0.85)
"""Of a figure that is one plane: its size in inches, and the box of the plane as shares of that."""

PLANE_FRAME = (PLANE_SIZE[0] * PLANE_BOX[2] * INCH, PLANE_SIZE[1] * PLANE_BOX[3] * INCH)
LETTER, ROW, SCALE = 4.6, 9.5, 0.6
"""Of the names in it, in points: width of a letter, height of a line; and the size of a dot, of one on the page."""

DASHES: Final = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
"""Dashes of lines by the names that plotly has for them."""

SETTINGS: Final[dict[Any, Any]] = {
    "font.size": TEXT,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": HAIR,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "pdf.fonttype": 42,
}


def bare_plane(across: Pair, up: Pair) -> tuple[Figure, Axes]:
    """A figure that is one plane, whose axes reach so far."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=PLANE_SIZE)
    axes = figure.add_axes(PLANE_BOX)
    axes.set_xlim(*across)
    axes.set_ylim(*up)
    return figure, axes


def name_beside(axes: Axes, text: str, dot: Pair, place: Placed, colour: str, *, bold: bool = False) -> None:
    """Write a name in its place beside a dot, with a line to it where it is far away."""
    from matplotlib.patheffects import withStroke

    axes.annotate(
        text,
        dot,
        (place.right, -place.down),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=TEXT,
        fontweight="bold" if bold else "normal",
        color=colour,
        arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "shrinkB": 4} if place.led else None,
        path_effects=[withStroke(linewidth=2, foreground=WHITE)],
        zorder=5,
    )


def settled(figure: Figure) -> Figure:
    """The figure with everything in its place: found once, not anew for each file."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def saved(figure: Figure, kind: str, *, trimmed: bool = True) -> bytes:
    """A figure as a file of this kind, ``png`` or ``pdf``; the same numbers give the same file.

    Trimming takes as long as drawing; a figure whose layout leaves no margin can do without.
    """
    dates = {"CreationDate": None, "ModDate": None} if kind == "pdf" else {}
    file = BytesIO()
    box = "tight" if trimmed else None
    figure.savefig(file, format=kind, dpi=DPI, metadata=dates, facecolor=WHITE, bbox_inches=box, pad_inches=0.04)
    return file.getvalue()
