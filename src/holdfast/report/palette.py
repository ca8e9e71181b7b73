"""One colour and one mark for every entrant, the same on the page and in the figures.

The nine colours stay apart for people with deuteranopia and protanopia (CIE76 distance above 11 under Machado's
simulation of 2009) and all but hold 3:1 against white; from the tenth entrant on the mark differs too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison

INK: Final = "#1c2128"
SOFT: Final = "#5b6570"
FAINT: Final = "#c9d0d6"
HAIR: Final = "#e6eaed"
SHADE: Final = "#f4f6f7"
WHITE: Final = "#ffffff"

COLOURS: Final = (
    "#2268b0",
    "#c4420a",
    "#0f8a70",
    "#cb72ab",
    "#b98d06",
    "#3f99d6",
    "#6f1a45",
    "#352a86",
    "#5f6b76",
)
MARKS: Final = (
    ("circle", "o", 12.0, "solid"),
    ("square", "s", 11.0, "dash"),
    ("triangle-up", "^", 14.0, "dot"),
    ("cross", "P", 13.0, "dashdot"),
)
"""Name of a mark for plotly, the same for matplotlib, its size in pixels, and the dash of its lines."""

PALE = 0.6
"""Opacity of interval bars."""

BETTER: Final = (104, 158, 212)
WORSE: Final = (214, 130, 72)
DISTANCE: Final = (156, 138, 190)
"""Ends of the colour scales of changes and of divergence; the middle of both is white, and ink is legible on all."""


@dataclass(frozen=True)
class Look:
    """How an entrant is drawn.

    Attributes:
        colour: Of its mark, its bars and its lines.
        symbol: Its mark, for plotly.
        marker: The same for matplotlib.
        size: Of the mark, in pixels.
        dash: Of its lines.
    """

    colour: str
    symbol: str
    marker: str
    size: float
    dash: str

    @property
    def pale(self) -> str:
        """Its colour, let through."""
        red, green, blue = (int(self.colour[at : at + 2], 16) for at in (1, 3, 5))
        return f"rgba({red},{green},{blue},{PALE})"


def looks(comparison: Comparison) -> dict[str, Look]:
    """The look of the base and of every entrant, by the order of the recipe."""
    entrants = looks_of(point.name for point in comparison.points if point.name != BASE)
    return {BASE: Look(INK, "diamond", "D", 13.0, "dot"), **entrants}


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, by the order of their first appearance."""
    return {
        name: Look(COLOURS[place % len(COLOURS)], *MARKS[place // len(COLOURS) % len(MARKS)])
        for place, name in enumerate(dict.fromkeys(names))
    }


def tinted(strength: float, end: tuple[int, int, int]) -> str:
    """A colour between white and an end of a scale.

    Args:
        strength: 0 for white, 1 for the end.
        end: Red, green and blue of the end.
    """
    share = min(max(strength, 0.0), 1.0)
    red, green, blue = (round(255 + share * (part - 255)) for part in end)
    return f"#{red:02x}{green:02x}{blue:02x}"
