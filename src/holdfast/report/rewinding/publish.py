"""Everything that a rewinding leaves for people: the page, the figure, the records, the short version, the card."""

from __future__ import annotations

from pathlib import Path

from holdfast.core.record import to_jsonl
from holdfast.core.rewinding import Rewinding
from holdfast.report.rewinding.card import write_card
from holdfast.report.rewinding.figures import rewinding_figures
from holdfast.report.rewinding.page import rewinding_page
from holdfast.report.rewinding.records import records_of
from holdfast.report.rewinding.summary import rewinding_summary
from holdfast.report.rewinding.ways import rewound
from holdfast.report.writing import PAGE, write_report


def publish_rewinding(found: Rewinding, folder: Path, card: Path | None = None) -> Path:
    """Write page, figure, records and summary into a folder, each whole at any moment.

    Args:
        found: What is reported.
        folder: Where; files of an earlier report are replaced, figures without anything to draw are removed.
        card: The model card of the checkpoint that was written, which gains a section; it is made if it is missing.

    Returns:
        The page.

    Raises:
        BadData: If the card cannot be added to.
    """
    view = rewound(found)
    if card is not None:
        write_card(view, card)
    texts = {
        "records.jsonl": to_jsonl(records_of(view)),
        "summary.md": rewinding_summary(view),
        # The page is written last: where it is, everything else is.
        PAGE: rewinding_page(view),
    }
    write_report(folder, rewinding_figures(view), texts)
    return folder / PAGE
