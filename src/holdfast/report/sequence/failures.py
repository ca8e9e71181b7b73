"""What broke off, where, and why."""

from __future__ import annotations

from holdfast.core.sequence_evidence import SequenceEvidence
from holdfast.report.sequence.phrases import order_text
from holdfast.report.wording import counted


def failures(evidence: SequenceEvidence) -> tuple[tuple[str, str], ...]:
    """Entrant, and which of its trainings ended early for which reason."""
    found = []
    for entrant in evidence.entrants:
        failed = [t for t in entrant.tries if t.failure is not None]
        if failed and len(failed) == len(entrant.tries):
            found.append((entrant.label, f"all {counted(len(failed), 'learning rate')} failed: {failed[0].failure}"))
        for run in entrant.runs:
            if run.failure is not None:
                where = f"{order_text(run.order)}, seed {run.seed}, after {counted(len(run.stages), 'stage')}"
                found.append((entrant.label, f"{where}: {run.failure}"))
    return tuple(found)
