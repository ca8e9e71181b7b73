"""``holdfast arena``: compare methods at an equal budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from holdfast.cli.options import described, recipe_and_overrides
from holdfast.core.errors import EXIT_FAULT
from holdfast.core.recipe import ArenaRecipe, read_recipe

DEMO = Path(__file__).parent.parent / "recipes" / "demo.yaml"


def arena(
    context: typer.Context,
    output_dir: Annotated[Path, typer.Option("--output_dir", help="Where everything goes.")] = Path("runs/arena"),
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Runs at a time; one a core, or one a CUDA device.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    options: Annotated[bool, typer.Option("--options", help="List all options of a recipe, and stop.")] = False,
) -> None:
    """Compare fine-tuning methods at an equal budget: what each gains, and what it forgets.

    `holdfast arena [RECIPE.yaml] [--option value ...]`: every option of a recipe can be given here too, under its own
    name, such as `--methods lora oft --max_steps 100`; `holdfast arena --options` lists them. Without a recipe the
    built-in demonstration runs.

    A comparison that was stopped, or killed, is finished by the same command.
    """
    if options:
        _list_options()
        return
    recipe, overrides = recipe_and_overrides(ArenaRecipe, context.args)
    read = read_recipe(ArenaRecipe, recipe or _default(overrides), overrides)

    from holdfast.arena.executor import LocalPool

    pool = LocalPool(workers)  # first of all: it loads the libraries for its jobs beside what follows

    from holdfast.arena.engine import compare
    from holdfast.cli.progress import Watched
    from holdfast.cli.report import published
    from holdfast.cli.resolve import contest_of

    contest = contest_of(read)
    with Watched(Console(stderr=as_json)) as watch:
        evidence = compare(contest, output_dir, pool, watch)
    comparison = published(evidence, output_dir, as_json=as_json)
    if comparison.failures:
        raise typer.Exit(EXIT_FAULT)


def _default(overrides: dict[str, Any]) -> Path | None:
    return DEMO if overrides.get("model_name_or_path", "miniature") == "miniature" else None


def _list_options() -> None:
    console = Console()
    for name, default, meaning in described(ArenaRecipe):
        console.print(f"[bold]{name}[/bold] [dim]{default}[/dim]\n    {meaning}", highlight=False)
