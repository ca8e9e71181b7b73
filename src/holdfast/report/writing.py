"""The files of a report in their folder: each is whole at any moment, and the page is the last of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

PAGE = "report.html"
FIGURES = "figures"


def write_report(folder: Path, figures: Mapping[str, bytes | None], texts: Mapping[str, str]) -> None:
    """Write figures and texts; whoever reads meanwhile finds each file old or new, never half.

    Args:
        folder: Where; files of an earlier report are replaced.
        figures: File name -> content; what has no content is removed.
        texts: File name -> text, written in this order after the figures.
    """
    for name, content in figures.items():
        if content is None:
            (folder / FIGURES / name).unlink(missing_ok=True)
        else:
            _replace(folder / FIGURES / name, content)
    for name, text in texts.items():
        _replace(folder / name, text.encode())


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
