"""``holdfast sequence``: fine-tune one model on task after task, and see what it learned, lost and transferred."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from holdfast.cli.options import described, recipe_and_overrides
from holdfast.core.errors import EXIT_FAULT
from holdfast.core.recipe import read_recipe
from holdfast.core.sequence_recipe import SequenceRecipe


def sequence(
    context: typer.Context,
    output_dir: Annotated[Path, typer.Option("--output_dir", help="Where everything goes.")] = Path("runs/sequence"),
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Sequences at a time; one a core, or one a CUDA device.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
    options: Annotated[bool, typer.Option("--options", help="List all options of a recipe, and stop.")] = False,
) -> None:
    """Fine-tune one model on task after task, by several methods and in several orders.

    `holdfast sequence [RECIPE.yaml] [--option value ...]`: every option of a recipe can be given here too, under its
    own name, such as `--tasks working diagnosis --methods full lora`; `holdfast sequence --options` lists them.

    A sequence that was stopped, or killed, is finished by the same command: it goes on at the stage where it was.
    """
    console = Console(stderr=as_json, highlight=False)
    if options:
        for name, default, meaning in described(SequenceRecipe):
            console.print(f"[bold]{name}[/bold] [dim]{default}[/dim]\n    {meaning}")
        return
    read = read_recipe(SequenceRecipe, *recipe_and_overrides(SequenceRecipe, context.args))

    from holdfast.arena.executor import LocalPool

    pool = LocalPool(workers)  # first of all: it loads the libraries for its jobs beside what follows

    from holdfast.arena.sequence.engine import run_sequences
    from holdfast.cli.progress import Watched
    from holdfast.cli.report import published_sequences
    from holdfast.cli.resolve import curriculum_of
    from holdfast.report.sequence.failures import failures

    curriculum = curriculum_of(read)
    with Watched(console) as watch:
        evidence = run_sequences(curriculum, output_dir, pool, watch)
    published_sequences(evidence, output_dir, as_json=as_json)
    if failures(evidence):
        raise typer.Exit(EXIT_FAULT)
