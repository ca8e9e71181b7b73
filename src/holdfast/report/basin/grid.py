"""Panels side by side, one an ability, and where each of them lies in the drawing."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from holdfast.report.labels import Pair

WIDTH: Final = 1160
LEFT, RIGHT, APART = 46, 8, 44
"""Pixels: of the drawing, beside the panels, between two of them."""

ACROSS: Final = 3
FEWER: Final = {1: 1, 2: 2, 4: 2}
"""Of so many panels so many stand side by side, for which three would leave holes."""


def axis_id(letter: str, number: int) -> str:
    """What plotly calls an axis, the first of which has no number.

    Args:
        letter: ``x`` or ``y``.
        number: From 1 on.
    """
    return letter if number == 1 else f"{letter}{number}"


@dataclass(frozen=True)
class Grid:
    """The places of panels.

    Attributes:
        count: How many there are.
        pitch: Pixels from the top of a row to the top of the next.
    """

    count: int
    pitch: int

    @property
    def across(self) -> int:
        """How many stand side by side."""
        return FEWER.get(self.count, ACROSS)

    @property
    def height(self) -> int:
        """Pixels of the drawing."""
        return ceil(self.count / self.across) * self.pitch

    @property
    def ticks(self) -> int:
        """How many numbers an axis has room for."""
        return 4 if self.across == ACROSS else 7

    def columns(self, place: int) -> Pair:
        """From where to where a panel reaches, as shares of the width between the margins."""
        inner = WIDTH - LEFT - RIGHT
        wide = (inner - APART * (self.across - 1)) / self.across
        left = (place % self.across) * (wide + APART)
        return left / inner, min((left + wide) / inner, 1.0)

    def rows(self, place: int, top: float, bottom: float) -> Pair:
        """The same upwards, for what lies between two heights in pixels below the top of its row."""
        above = (place // self.across) * self.pitch
        return max(1 - (above + bottom) / self.height, 0.0), 1 - (above + top) / self.height
