"""``holdfast report``: rebuild the page, the figures and the tables from what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from holdfast.core.errors import RecipeError

if TYPE_CHECKING:
    from holdfast.core.basin import BasinMeasurement
    from holdfast.core.evidence import Evidence
    from holdfast.core.sequence_evidence import SequenceEvidence
    from holdfast.report.comparison import Comparison


BASIN = "basin.json"
"""Where a measurement of basins lies in its folder."""


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a comparison, of sequences, or of measured basins.")],
    before: Annotated[
        Path | None,
        typer.Option("--before", help="Basins measured with the same options around another model, to compare with."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was measured, or the records, as JSON.")] = False,
) -> None:
    """Rebuild the report of a comparison, of sequences or of basins; no model is loaded, nothing is measured again.

    With `--before`, the page of basins shows both models side by side, such as before and after training with noise.
    """
    from holdfast.core.basin import read_basin
    from holdfast.core.evidence import read_evidence
    from holdfast.core.sequence_evidence import read_sequence_evidence

    file = folder / "evidence.json"
    if (folder / BASIN).is_file():
        earlier = None if before is None else read_basin(before / BASIN)
        published_basins(read_basin(folder / BASIN), folder, earlier, as_json=as_json)
    elif before is not None:
        raise RecipeError(
            [f"before: {folder} holds no measured basins, and models are compared in these alone"], "report"
        )
    elif holds_sequences(file):
        published_sequences(read_sequence_evidence(file), folder, as_json=as_json)
    else:
        published(read_evidence(file), folder, as_json=as_json)


def published_basins(
    found: BasinMeasurement, folder: Path, before: BasinMeasurement | None = None, *, as_json: bool
) -> None:
    """Write everything that people read of basins, and tell on the terminal where it is."""
    from holdfast.report.basin.publish import published_basin
    from holdfast.report.basin.table import terminal_basin

    page = published_basin(found, folder, before)
    if as_json:
        print(found.model_dump_json(exclude_none=True, indent=2))
        return
    console = Console(highlight=False)
    console.print(terminal_basin(found))
    console.print(f"\n[bold]{page}[/bold]", soft_wrap=True)


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
