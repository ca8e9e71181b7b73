"""What every figure for print has in common: its type, its lines, and how it becomes a file."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from holdfast.report.palette import FAINT, HAIR, INK, SOFT, WHITE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI: Final = 200
TEXT, SMALL = 8.0, 7.0
"""Sizes of type, in points."""

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


def saved(figure: Figure, kind: str, *, trimmed: bool = True) -> bytes:
    """A figure as a file of this kind, ``png`` or ``pdf``; the same numbers give the same file.

    Trimming takes as long as drawing; a figure whose layout leaves no margin can do without.
    """
    dates = {"CreationDate": None, "ModDate": None} if kind == "pdf" else {}
    file = BytesIO()
    box = "tight" if trimmed else None
    figure.savefig(file, format=kind, dpi=DPI, metadata=dates, facecolor=WHITE, bbox_inches=box, pad_inches=0.04)
    return file.getvalue()
