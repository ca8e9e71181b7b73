"""Everything that a measurement of basins leaves for people: the page, the figures, the summary, the records."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.basin import BasinMeasurement
from holdfast.core.record import to_jsonl
from holdfast.report.basin.figures import basin_figures
from holdfast.report.basin.page import basin_page
from holdfast.report.basin.records import records_of
from holdfast.report.basin.seen import seen
from holdfast.report.basin.table import basin_summary
from holdfast.report.writing import PAGE, write_report


def published_basin(measurement: BasinMeasurement, folder: Path, before: BasinMeasurement | None = None) -> Path:
    """Write page, figures, summary and records into a folder, each whole at any moment.

    Args:
        measurement: What is reported.
        folder: Where; files of an earlier report are replaced, figures without anything to draw are removed.
        before: What the same questions found around another model, such as one trained without noise: both are then
            compared along the same directions.

    Returns:
        The page.
    """
    view, earlier = seen(measurement), None if before is None else seen(before)
    texts = {
        "records.jsonl": to_jsonl(records_of(view, earlier)),
        "summary.md": basin_summary(view, earlier),
        # The page is written last: where it is, everything else is.
        PAGE: basin_page(view, earlier),
    }
    write_report(folder, basin_figures(view), texts)
    return folder / PAGE
