"""``holdfast continual``: the numbers of a sequence of trainings from a table of scores, each with its definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from holdfast.core.record import Record
    from holdfast.core.sequence_scores import SequenceScores


def continual(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV: names in training order, the base, a line a stage; or JSON.")
    ],
    alone: Annotated[
        Path | None, typer.Option("--alone", help="Scores of the tasks trained alone: names and one line, or JSON.")
    ] = None,
    jointly: Annotated[bool, typer.Option("--jointly", help="Those of --alone were trained jointly.")] = False,
    percent: Annotated[bool, typer.Option("--percent", help="Scores are given from 0 to 100.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """Say what a sequence of trainings learned, lost and transferred, from its scores alone.

    Each number stands beside its definition, since several in use share a name. Where one is undefined, the reason is
    given. An empty cell is a score that was not measured, which is never taken for 0.
    """
    from holdfast.core.errors import RecipeError
    from holdfast.core.sequence_scores import read_one_score_a_task, read_sequence_scores

    scores = read_sequence_scores(file)
    if alone is not None and scores.alone is not None:
        raise RecipeError([f"--alone {alone} was given, and {file} holds such scores too; leave one out"], "continual")
    if alone is not None:
        found = read_one_score_a_task(alone, scores.tasks)
        scores = scores.model_copy(update={"alone": found, "jointly": jointly})
    elif jointly:
        raise RecipeError(["--jointly says how the scores of --alone came about, and there are none"], "continual")
    records = measured(scores, str(file), percent=percent)
    if as_json:
        print(json.dumps([record.model_dump(exclude_none=True) for record in records], indent=2))
        return
    published(scores.tasks, records)


def measured(scores: SequenceScores, subject: str, *, percent: bool) -> tuple[Record, ...]:
    """The numbers of a sequence from what a file holds."""
    from holdfast.metrics.continual import Ceiling, ScoreMatrix, continual_metrics
    from holdfast.metrics.continual.abilities import Abilities

    matrix = ScoreMatrix.of(scores.scores, names=scores.tasks, percent=percent)
    ceiling = None
    if scores.alone is not None:
        ceiling = Ceiling.of(scores.alone, trained="jointly" if scores.jointly else "alone", percent=percent)
    abilities = [
        Abilities.of(one.scores, names=one.names, kind=one.kind, unit=one.unit, percent=percent and one.unit == "frac")
        for one in scores.abilities
    ]
    return continual_metrics(matrix, alone=ceiling, general=abilities, subject=subject)


def published(tasks: tuple[str, ...], records: tuple[Record, ...]) -> None:
    """Print the numbers with their definitions, and why some are undefined."""
    from holdfast.metrics.continual.records import definitions

    console, words = Console(highlight=False), definitions()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("definition", overflow="fold")
    for record in records:
        value = "\N{EN DASH}" if record.value is None else f"{record.value:.4f}"
        table.add_row(Text(record.quantity), value, Text(words[record.quantity], style="dim"))
    console.print(Text(f"{len(tasks)} tasks in training order: {', '.join(tasks)}\n"), soft_wrap=True)
    console.print(table)
    reasons = [Text(str(record.reason)) for record in records if record.value is None]
    for line in [Text(""), *reasons] if reasons else []:
        console.print(line, soft_wrap=True)
