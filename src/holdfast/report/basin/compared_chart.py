"""The curves of two models along the same directions, a panel an ability, as a figure for plotly."""

from __future__ import annotations

from typing import Final

from holdfast.report.basin.compared import AFTER, BEFORE, Compared
from holdfast.report.basin.lines_chart import Line, lines_chart
from holdfast.report.basin.seen import Seen
from holdfast.report.frame import Figure
from holdfast.report.palette import looks_of

LOOKS: Final = dict(reversed(looks_of((AFTER, BEFORE)).items()))
"""Before and after; what came after has the colour that random directions have."""


def compared_chart(before: Seen, after: Seen, pairs: tuple[Compared, ...]) -> Figure | None:
    """Both curves of every ability; nothing where nothing can be compared."""
    panels = {
        each.ability: (
            Line(BEFORE, before, each.before, LOOKS[BEFORE]),
            Line(AFTER, after, each.after, LOOKS[AFTER]),
        )
        for each in pairs
    }
    return lines_chart(after, panels)
