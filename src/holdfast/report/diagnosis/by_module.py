"""The short table: a row a kind of module, medians over its sites."""

from __future__ import annotations

from statistics import median

from holdfast.core.diagnosis import CONTROL, UPDATE
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import brief
from holdfast.report.short import ShortTable

COLUMNS = {
    "relative_size_frobenius": "size",
    "stable_rank": "stable rank",
    "singular_value_change": "values moved",
    "subspace_distance/right/8": "inputs turned",
    "intruders/left": "intruders",
    "drift_relative/general": "drift general",
    "drift_relative/target": "drift target",
    "drift_ratio_relative": "drift ratio",
    "procrustes_residual/general": "Procrustes general",
    "cka_unbiased/general": "CKA general",
}
RANDOM = "random update"
LEGEND = (
    "Medians over the sites of each module. Size is that of the update over that of the weight; the last row is a "
    "random update of the same size."
)


def short_table(findings: Findings) -> ShortTable | None:
    """Medians by module, and of the random update over all; columns without a number are left out."""
    quantities = [name for name in COLUMNS if findings.values(name)]
    if not quantities:
        return None
    kinds: dict[str, list[str]] = {}
    for site in findings.sites:
        kinds.setdefault(site.module, []).append(site.name)
    everywhere = [site.name for site in findings.sites]
    rows = [(kind, str(len(names)), *_cells(findings, quantities, names, UPDATE)) for kind, names in kinds.items()]
    control = _cells(findings, quantities, everywhere, CONTROL)
    if any(control):
        rows.append((RANDOM, str(len(everywhere)), *control))
    return ShortTable(("", "sites", *(COLUMNS[name] for name in quantities)), tuple(rows))


def _cells(findings: Findings, quantities: list[str], sites: list[str], subject: str) -> list[str]:
    cells = []
    for quantity in quantities:
        values = findings.values(quantity, subject)
        here = [values[site] for site in sites if site in values]
        cells.append(brief(median(here)) if here else "")
    return cells
