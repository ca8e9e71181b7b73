"""Everything that a diagnosis leaves for people: the page, the figures, the records, the short version."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.diagnosis import Diagnosis
from holdfast.core.record import to_jsonl
from holdfast.report.diagnosis.figures import diagnosis_figures
from holdfast.report.diagnosis.page import diagnosis_page
from holdfast.report.diagnosis.summary import diagnosis_summary
from holdfast.report.writing import PAGE, write_report


def publish_diagnosis(diagnosis: Diagnosis, folder: Path) -> Path:
    """Write page, figures, records and summary into a folder, each whole at any moment.

    Args:
        diagnosis: What is reported.
        folder: Where; files of an earlier report are replaced, figures without anything to draw are removed.

    Returns:
        The page.
    """
    texts = {
        "records.jsonl": to_jsonl(diagnosis.records),
        "summary.md": diagnosis_summary(diagnosis),
        # The page is written last: where it is, everything else is.
        PAGE: diagnosis_page(diagnosis),
    }
    write_report(folder, diagnosis_figures(diagnosis), texts)
    return folder / PAGE
