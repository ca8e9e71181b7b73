"""``holdfast train``: one training run, with its checkpoints, and what it gained and forgot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from holdfast.cli.options import described, recipe_and_overrides
from holdfast.core.recipe import TrainRecipe, read_recipe


def train(
    context: typer.Context,
    output_dir: Annotated[Path, typer.Option("--output_dir", help="Where the run goes.")] = Path("runs/train"),
    options: Annotated[bool, typer.Option("--options", help="List all options of a recipe, and stop.")] = False,
) -> None:
    """Fine-tune a model with one method and keep checkpoints in ordinary adapter or model format.

    `holdfast train [RECIPE.yaml] [--option value ...]`, such as `--method "oft(block_size=16)" --target data.jsonl`;
    `holdfast train --options` lists them all. A run that was stopped, or killed, goes on from where it was.
    """
    console = Console(highlight=False)
    if options:
        for name, default, meaning in described(TrainRecipe):
            console.print(f"[bold]{name}[/bold] [dim]{default}[/dim]\n    {meaning}")
        return
    read = read_recipe(TrainRecipe, *recipe_and_overrides(TrainRecipe, context.args))

    from holdfast.arena.jobs import opened
    from holdfast.cli.resolve import lesson_of
    from holdfast.store.run import RunFolder, locked
    from holdfast.train.engine import train as run

    method, items = lesson_of(read)
    folder = RunFolder(output_dir)
    with locked(output_dir):
        folder.open(read.model_dump(mode="json"))
        base = opened(read)
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        with bar:
            line = bar.add_task(f"{read.method} on {base.name}", total=read.max_steps, loss="")

            def tick(step: int, steps: int, loss: float | None) -> None:
                bar.update(line, completed=step, loss="" if loss is None else f"loss {loss:.3f}")

            examples, tasks = items.taught()
            run(base, method, examples, read, folder, tick, tasks=tasks, source=items.source())
        folder.mark_finished()
    for fact in folder.facts():
        shown = fact.reason if fact.value is None else f"{fact.value:g} {fact.unit}".rstrip()
        console.print(f"{fact.quantity}: {shown}")
    console.print(f"\n[bold]{folder.checkpoint(read.max_steps)}[/bold]", soft_wrap=True)
