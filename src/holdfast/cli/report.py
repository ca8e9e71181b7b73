"""``holdfast report``: rebuild the page, the figures and the tables from what a comparison measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from holdfast.core.evidence import Evidence
    from holdfast.report.comparison import Comparison


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a comparison.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Rebuild the report of a finished comparison; no model is loaded and nothing is measured again."""
    from holdfast.core.evidence import read_evidence

    published(read_evidence(folder / "evidence.json"), folder, as_json=as_json)


def published(evidence: Evidence, folder: Path, *, as_json: bool) -> Comparison:
    """Write everything that people read, and tell on the terminal where it is."""
    from holdfast.report.analysis import analysed
    from holdfast.report.publish import publish
    from holdfast.report.table import terminal_table

    comparison = analysed(evidence)
    page = publish(comparison, folder)
    if as_json:
        print(comparison.model_dump_json(indent=2))
        return comparison
    console = Console()
    console.print(terminal_table(comparison))
    for note in comparison.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    for failure in comparison.failures:
        console.print(f"[red]no result:[/red] {failure}", highlight=False)
    console.print(f"\n[bold]{page}[/bold]", highlight=False, soft_wrap=True)
    return comparison
