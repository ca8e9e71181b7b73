"""The short version of a diagnosis, in Markdown."""

from __future__ import annotations

from holdfast.core.diagnosis import Diagnosis
from holdfast.report.diagnosis.by_module import LEGEND, short_table
from holdfast.report.diagnosis.caveats import caveats
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.verdict import headline, verdict_of
from holdfast.report.short import itemised, markdown


def diagnosis_summary(diagnosis: Diagnosis) -> str:
    """Title, verdict, table by module, and what it was measured on."""
    table = short_table(Findings(diagnosis))
    measured = [f"base: {diagnosis.base}", f"tuned: {diagnosis.tuned} ({diagnosis.form})"]
    measured += [
        f"{prompts.role} prompts: {prompts.source}, {prompts.count:,} prompts, {prompts.tokens:,} tokens looked at"
        for prompts in diagnosis.prompts
    ]
    blocks = [
        f"# {headline(diagnosis)}",
        itemised(verdict_of(diagnosis)),
        *([] if table is None else ["## By module", markdown(table), LEGEND]),
        *(["## Read with care", itemised(found)] if (found := caveats(diagnosis)) else []),
        "## Measured on",
        itemised(measured),
    ]
    return "\n\n".join(blocks) + "\n"
