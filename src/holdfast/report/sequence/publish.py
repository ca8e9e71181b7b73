"""Everything that sequences leave for people: the page, the figures, the summary, the records."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.record import to_jsonl
from holdfast.report.sequence.analysis import Analysed
from holdfast.report.sequence.figures import sequence_figures
from holdfast.report.sequence.page import sequence_page
from holdfast.report.sequence.records import records_of
from holdfast.report.sequence.table import sequence_summary
from holdfast.report.writing import PAGE, write_report


def publish(found: Analysed, folder: Path) -> Path:
    """Write page, figures, summary and records, each whole at any moment.

    Args:
        found: What is reported.
        folder: Where; files of an earlier report are replaced, figures without anything to draw are removed.

    Returns:
        The page.
    """
    texts = {
        "records.jsonl": to_jsonl(records_of(found)),
        "summary.md": sequence_summary(found),
        # The page is written last: where it is, everything else is.
        PAGE: sequence_page(found),
    }
    write_report(folder, sequence_figures(found), texts)
    return folder / PAGE
