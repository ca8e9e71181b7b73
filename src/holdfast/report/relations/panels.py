"""A panel a measure: what stands above it and which dots lie in it, for the page and for print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from holdfast.core.foretelling import Measured
from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.report.relations.analysis import Related
from holdfast.report.relations.measures import title_of
from holdfast.report.relations.phrases import correlation, published
from holdfast.report.wording import typeset

Outcome = Literal["forgetting", "gain"]
OUTCOMES: tuple[Outcome, ...] = ("forgetting", "gain")

PADDING = 0.06
"""Of a scale, so much on both sides of the outermost dots."""


@dataclass(frozen=True)
class Panel:
    """One measure against one outcome.

    Attributes:
        title: What the measure is called.
        strength: Pearson's r with its interval, or why there is none.
        published: The r that was printed of it; empty where there is none, and for other outcomes than forgetting.
        measure: Its name.
    """

    title: str
    strength: str
    published: str
    measure: str

    def across(self, rows: Sequence[Measured]) -> list[float]:
        """Where the dots of some checkpoints lie from left to right."""
        return [row.measures[self.measure] for row in rows]


def panels_of(related: Related, outcome: Outcome) -> list[Panel]:
    """The panels, in the order of the relations with forgetting whatever the outcome."""
    found = {each.measure: each.pearson for each in related.relations} if outcome == "forgetting" else related.with_gain
    return [_panel(each.measure, found, outcome) for each in related.relations]


def up(rows: Sequence[Measured], outcome: Outcome) -> list[float]:
    """Where the dots of some checkpoints lie from below."""
    return [row.forgetting if outcome == "forgetting" else row.gain for row in rows]


def scale(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis that holds all values with some room; where all are the same, room for that one."""
    low, high = min(values), max(values)
    room = PADDING * (high - low) or max(abs(low), 1.0) * PADDING
    return low - room, high + room


def _panel(measure: str, found: Mapping[str, Estimate | Undefined], outcome: Outcome) -> Panel:
    r = found[measure]
    strength = r.reason if isinstance(r, Undefined) else f"r {correlation(r)}"
    printed = published(measure) if outcome == "forgetting" else ""
    return Panel(title_of(measure), typeset(strength), typeset(f"published {printed}") if printed else "", measure)
