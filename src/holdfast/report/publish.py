"""Everything a comparison leaves for people: the page, the figures, the tables, the records."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from holdfast.core.record import to_jsonl
from holdfast.report.comparison import Comparison
from holdfast.report.figures import figures
from holdfast.report.page import page
from holdfast.report.records import records_of
from holdfast.report.summary import summary

PAGE = "report.html"
FIGURES = "figures"


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
    for name, content in figures(comparison).items():
        if content is None:
            (folder / FIGURES / name).unlink(missing_ok=True)
        else:
            _replace(folder / FIGURES / name, content)
    for name, text in texts.items():
        _replace(folder / name, text.encode())
    return folder / PAGE


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)  # temporary files are private; this one becomes an ordinary file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
