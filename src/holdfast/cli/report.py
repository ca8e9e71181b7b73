"""``holdfast report``: rebuild the page, the figures and the tables from what a comparison or sequences measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from holdfast.core.evidence import Evidence
    from holdfast.core.sequence_evidence import SequenceEvidence
    from holdfast.report.comparison import Comparison


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a comparison, or of sequences.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison, or the records, as JSON.")] = False,
) -> None:
    """Rebuild the report of a finished comparison or of sequences; no model is loaded and nothing is measured again."""
    from holdfast.core.evidence import read_evidence
    from holdfast.core.sequence_evidence import read_sequence_evidence

    file = folder / "evidence.json"
    if holds_sequences(file):
        published_sequences(read_sequence_evidence(file), folder, as_json=as_json)
    else:
        published(read_evidence(file), folder, as_json=as_json)


def holds_sequences(file: Path) -> bool:
    """Whether a file looks like the evidence of sequences; what cannot be read does not, and its reader says why."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "orders" in found


def published_sequences(evidence: SequenceEvidence, folder: Path, *, as_json: bool) -> None:
    """Write everything that people read of sequences, and tell on the terminal where it is."""
    from holdfast.report.sequence.analysis import analysed
    from holdfast.report.sequence.failures import failures
    from holdfast.report.sequence.publish import publish
    from holdfast.report.sequence.records import records_of
    from holdfast.report.sequence.table import terminal_table

    found = analysed(evidence)
    page = publish(found, folder)
    if as_json:
        print(json.dumps([record.model_dump(exclude_none=True) for record in records_of(found)], indent=2))
        return
    console = Console()
    console.print(terminal_table(found))
    for name, reason in failures(evidence):
        console.print(f"[red]broken off:[/red] {name}, {reason}", highlight=False)
    console.print(f"\n[bold]{page}[/bold]", highlight=False, soft_wrap=True)


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
