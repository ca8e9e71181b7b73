"""Everything a comparison leaves for people: the page, the figures, the tables, the records."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.record import to_jsonl
from holdfast.report.comparison import Comparison
from holdfast.report.figures import figures
from holdfast.report.page import page
from holdfast.report.records import records_of
from holdfast.report.summary import summary
from holdfast.report.writing import PAGE, write_report


def publish(comparison: Comparison, folder: Path) -> Path:
    """Write the report into a folder; whoever reads meanwhile finds each file old or new, never half.

    Args:
        comparison: What is reported.
        folder: Where; files of an earlier report are replaced, figures without anything to draw are removed.

    Returns:
        The page.
    """
    texts = {
        "records.jsonl": to_jsonl(records_of(comparison)),
        "comparison.json": comparison.model_dump_json(indent=2) + "\n",
        "summary.md": summary(comparison),
        # The page is written last: where it is, everything else is.
        PAGE: page(comparison),
    }
    write_report(folder, figures(comparison), texts)
    return folder / PAGE
