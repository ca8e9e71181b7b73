"""What modules say before and after, as marks on the scale of each measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.core.diagnosis import MISMATCHED, Site
from holdfast.report.comparison import Span
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import brief, place, told
from holdfast.report.palette import COLOURS
from holdfast.report.wording import markup, typeset

SHOWN = {
    "procrustes_residual": "Procrustes residual",
    "cka_unbiased": "CKA, unbiased",
    "gram_cosine_distance": "Gram distance",
    "angular_drift_rad": "angular drift, rad",
}
"""Measures that have a panel."""

ROLE_COLOURS = {"general": COLOURS[0], "target": COLOURS[1]}
SHIFT = {"general": -0.16, "target": 0.16}
MOST_SITES = 40


@dataclass(frozen=True)
class Mark:
    """One number at one module.

    Attributes:
        row: Where it stands, from above.
        value: The number.
        span: Its interval.
        text: All that is known about it.
        null: The number for tokens that have nothing to do with each other.
        null_text: The same for that.
    """

    row: float
    value: float
    span: Span | None
    text: str
    null: float | None
    null_text: str


@dataclass(frozen=True)
class Measure:
    """A panel.

    Attributes:
        title: What is measured.
        marks: Role -> marks.
    """

    title: str
    marks: Mapping[str, tuple[Mark, ...]]


def listened(findings: Findings) -> list[Site]:
    """Modules whose outputs were compared."""
    asked = [f"{name}/{role}" for name in SHOWN for role in findings.roles]
    names = {site.name for quantity in asked for site in findings.sites_of(quantity)}
    return [site for site in findings.sites if site.name in names]


def measures_of(findings: Findings) -> tuple[list[Measure], list[Site]]:
    """The panels and their rows; of too many modules those whose Procrustes residual is largest."""
    sites = listened(findings)
    if len(sites) > MOST_SITES:
        residual = findings.values(f"procrustes_residual/{findings.roles[0]}")
        chosen = sorted(sites, key=lambda site: -residual.get(site.name, 0.0))[:MOST_SITES]
        sites = [site for site in sites if site in chosen]
    found = []
    for name, title in SHOWN.items():
        marks = {role: _marks(findings, f"{name}/{role}", role, sites) for role in findings.roles}
        if any(marks.values()):
            found.append(Measure(title, {role: each for role, each in marks.items() if each}))
    return found, sites


def _marks(findings: Findings, quantity: str, role: str, sites: list[Site]) -> tuple[Mark, ...]:
    shift = SHIFT[role] if len(findings.roles) > 1 else 0.0
    marks = []
    for row, site in enumerate(sites):
        record = findings.record(quantity, site.name)
        if record is None or record.value is None:
            continue
        null = findings.value(quantity, site.name, MISMATCHED)
        where = f"<b>{markup(place(site))}</b><br>{role} prompts"
        beside = "" if null is None else f"unrelated tokens {brief(null)}"
        text = f"{where}: {typeset(told(record))}<br>{typeset(beside)}"
        marks.append(Mark(row + shift, record.value, record.spread, text, null, f"{where}: {typeset(beside)}"))
    return tuple(marks)
