"""Everything a comparison leaves for people: the page, the figures, the tables, the records."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.record import to_jsonl
from holdfast.report.analysis import records_of
from holdfast.report.comparison import Comparison
from holdfast.report.table import markdown_table


def publish(comparison: Comparison, folder: Path) -> Path:
    """Write the report into a folder; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "records.jsonl").write_text(to_jsonl(records_of(comparison)), encoding="utf-8")
    (folder / "comparison.json").write_text(comparison.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "summary.md").write_text(markdown_table(comparison), encoding="utf-8")
    return folder / "report.html"
