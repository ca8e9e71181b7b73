"""Tables with a row a site: every number, its interval, and what would mean nothing, below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.diagnosis import CONTROL, Site
from holdfast.report.diagnosis.activations import listened
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import between, brief
from holdfast.report.ledger import Cell, Column
from holdfast.report.wording import NONE, typeset

Columns = tuple[tuple[str, str, str], ...]
"""Quantity, title and meaning of each."""

WEIGHTS: tuple[tuple[str, Columns], ...] = (
    (
        "size and shape",
        (
            ("relative_size_frobenius", "size", "Norm of the update over the norm of the weight"),
            ("stable_rank", "stable rank", "Over how many directions, as strong as the strongest, it is spread"),
            ("entropy_rank", "entropy", "Entropy rank: weak directions count too"),
        ),
    ),
    (
        "values and directions",
        (
            ("singular_value_change", "values", "Norm of the change of all singular values over their norm"),
            ("subspace_distance/right/8", "8 inputs", "By how much the 8 leading input directions turned, 0 to 1"),
            ("subspace_distance/left/8", "8 outputs", "By how much the 8 leading output directions turned, 0 to 1"),
            ("intruders/left", "intruders", "Leading output directions that resemble none of the base's"),
        ),
    ),
    (
        "drift on prompts",
        (
            ("drift_relative/general", "general", "Relative drift on general prompts"),
            ("drift_relative/target", "target", "Relative drift on target prompts"),
            ("drift_ratio_relative", "ratio", "Relative drift on general prompts over that on target prompts"),
        ),
    ),
)
ACTIVATIONS: Columns = (
    ("procrustes_residual", "Procrustes", "What differs after the best rotation, over the norm before"),
    ("held_out_procrustes_residual", "held out", "The same on prompts that the rotation was not fitted on"),
    ("cka_unbiased", "CKA", "Unbiased linear CKA"),
    ("gram_cosine_distance", "Gram", "Change of the cosines between all pairs of tokens, over those before"),
    ("angular_drift_rad", "angle", "Mean angle by which a token has turned, in radians"),
)


@dataclass(frozen=True)
class Row:
    """A site.

    Attributes:
        name: Its full name.
        below: Its shape, where it is a weight.
        cells: One a column.
    """

    name: str
    below: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Ledger:
    """A table.

    Attributes:
        groups: Heading of each group of columns with the number of its columns.
        columns: The columns after the name.
        rows: One a site, in the order of the model.
    """

    groups: tuple[tuple[str, int], ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def weight_ledger(findings: Findings) -> Ledger | None:
    """All weights; columns without any number or reason are left out."""
    sites = [site for site in findings.sites if findings.record("relative_size_frobenius", site.name)]
    return _ledger(findings, sites, WEIGHTS)


def activation_ledger(findings: Findings) -> Ledger | None:
    """All modules that were listened to, on every set of prompts."""
    sections = tuple(
        (f"on {role} prompts", tuple((f"{name}/{role}", title, hint) for name, title, hint in ACTIVATIONS))
        for role in findings.roles
    )
    return _ledger(findings, listened(findings), sections)


def _ledger(findings: Findings, sites: Sequence[Site], sections: tuple[tuple[str, Columns], ...]) -> Ledger | None:
    asked = [(heading, [each for each in columns if findings.asked(each[0])]) for heading, columns in sections]
    asked = [(heading, columns) for heading, columns in asked if columns]
    if not sites or not asked:
        return None
    columns = [Column(title, hint, place == 0) for _, group in asked for place, (_, title, hint) in enumerate(group)]
    quantities = [quantity for _, group in asked for quantity, _, _ in group]
    rows = [
        Row(site.name, _shape(site), tuple(_cell(findings, quantity, site.name) for quantity in quantities))
        for site in sites
    ]
    return Ledger(tuple((heading, len(group)) for heading, group in asked), tuple(columns), tuple(rows))


def _cell(findings: Findings, quantity: str, site: str) -> Cell:
    record = findings.record(quantity, site)
    if record is None:
        return Cell()
    if record.value is None:
        return Cell(NONE, (), None, f"undefined: {record.reason}")
    null, control = findings.null_of(quantity, site), findings.value(quantity, site, CONTROL)
    below = [between(record.spread)] if record.spread else []
    below += [] if null is None else [f"{'random' if control is not None else 'unrelated'} {brief(null)}"]
    return Cell(typeset(brief(record.value)), tuple(map(typeset, below)), record.value)


def _shape(site: Site) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(f"{size:,}" for size in site.shape)
