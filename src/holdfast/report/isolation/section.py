"""The section of the page of a comparison on what was held still."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from holdfast.report.comparison import Comparison
from holdfast.report.diagnosis.ledger import Ledger
from holdfast.report.isolation.choice_chart import chosen
from holdfast.report.isolation.course_chart import course_of_choices
from holdfast.report.isolation.ledger import ledger_of
from holdfast.report.isolation.readings import drifts_of
from holdfast.report.isolation.verdict import isolation_verdict, notes_of
from holdfast.report.offline import embedded
from holdfast.report.palette import looks
from holdfast.report.table import ordered


@dataclass(frozen=True)
class IsolationSection:
    """What the template is filled with.

    Attributes:
        verdict: What became of the choices, a line each.
        notes: How importance was seen, a line each.
        course: The figure of all entrants, where one chose anew.
        choices: Entrant -> its figure, for the switch.
        names: The entrants of the switch.
        ledger: The table.
    """

    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    course: Markup | None
    choices: Markup | None
    names: tuple[str, ...]
    ledger: Ledger


def isolation_section(comparison: Comparison) -> IsolationSection | None:
    """The section, entrants in the order of ``table.ordered``; nothing where nobody holds scalars."""
    drifts = drifts_of(ordered(comparison))
    if not drifts:
        return None
    # The switch begins with those of which most is to be seen.
    listed = sorted(drifts, key=lambda drift: (drift.choices < 2, drift.at_random))
    figures = {drift.name: figure for drift in listed if (figure := chosen(drift)) is not None}
    return IsolationSection(
        verdict=isolation_verdict(drifts),
        notes=notes_of(drifts),
        course=embedded(course_of_choices(drifts, looks(comparison))),
        choices=embedded(figures or None),
        names=tuple(figures),
        ledger=ledger_of(drifts),
    )
