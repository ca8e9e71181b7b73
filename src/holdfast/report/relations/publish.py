"""Everything that relating geometry to forgetting leaves for people: the page, the figure, the table, the records."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.record import to_jsonl
from holdfast.report.relations.analysis import Related
from holdfast.report.relations.figures import relations_figures
from holdfast.report.relations.page import relations_page
from holdfast.report.relations.records import records_of
from holdfast.report.relations.table import relations_table
from holdfast.report.writing import PAGE, write_report

TABLE = "geometry.md"


def publish_relations(related: Related, folder: Path) -> Path:
    """Write page, figure, table and records into a folder, each whole at any moment.

    Args:
        related: What is reported.
        folder: Where; files of an earlier report are replaced.

    Returns:
        The page.
    """
    texts = {
        "records.jsonl": to_jsonl(records_of(related)),
        TABLE: relations_table(related),
        # The page is written last: where it is, everything else is.
        PAGE: relations_page(related),
    }
    write_report(folder, relations_figures(related), texts)
    return folder / PAGE
