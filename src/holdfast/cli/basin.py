"""``holdfast basin``: how far a model can be moved before its abilities break, and whether fine-tunes went further."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from holdfast.cli.options import described, recipe_and_overrides
from holdfast.core.recipe import read_recipe

if TYPE_CHECKING:
    from holdfast.core.basin_recipe import BasinRecipe

KEPT = "evaluations"


def basin(
    context: typer.Context,
    output_dir: Annotated[Path, typer.Option("--output_dir", help="Where everything goes.")] = Path("runs/basin"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurement as JSON.")] = False,
    options: Annotated[bool, typer.Option("--options", help="List all options, and stop.")] = False,
) -> None:
    """Measure how far a model can be moved before each of its abilities breaks, with intervals and certificates.

    `holdfast basin MODEL [--option value ...]`, such as `--suite general --tuned runs/a runs/b --directions random
    worst adapter --sigmas 0.001 0.01 --seeds 16 --tau 0.05 --items 64`; MODEL is a folder, a hub id, `miniature`, or
    a recipe (.yaml); `holdfast basin --options` lists all options.

    The weights are given back bit for bit. Answers that are generated are graded; what is scored by likelihoods has a
    curve and no width. A measurement that was killed goes on when the same command is run again.
    """
    from holdfast.core.basin_recipe import BasinRecipe

    if options:
        console = Console(highlight=False)
        for name, default, meaning in described(BasinRecipe):
            console.print(f"[bold]{name}[/bold] [dim]{default}[/dim]\n    {meaning}")
        return
    recipe = recipe_of(context.args)

    from holdfast.cli.report import BASIN, published_basins
    from holdfast.cli.resolve import tasks_of
    from holdfast.measure.basin.ability import abilities_of
    from holdfast.measure.basin.curves import check_forms
    from holdfast.measure.basin.engine import measure_basin
    from holdfast.models.base import open_base
    from holdfast.store.files import write_text
    from holdfast.store.run import locked
    from holdfast.weights.quiet import quiet

    check_forms(recipe.certificates)
    tasks = tasks_of(recipe.suite)
    base = open_base(
        recipe.model_name_or_path,
        dtype=recipe.dtype,
        trust_remote_code=recipe.trust_remote_code,
        allow_pickle=recipe.allow_pickle,
    )
    abilities = abilities_of(base.model, base.tokenizer, tasks, recipe.split, recipe.items)
    with locked(output_dir), Console(stderr=True).status("asking the base") as status, quiet():
        found = measure_basin(base, abilities, recipe, folder=output_dir / KEPT, tick=status.update)
    typed = shlex.join(["holdfast", "basin", *context.args, "--output_dir", str(output_dir)])
    found = found.model_copy(update={"command": typed})
    write_text(output_dir / BASIN, found.model_dump_json(exclude_none=True) + "\n")
    published_basins(found, output_dir, as_json=as_json)


def recipe_of(words: Sequence[str]) -> BasinRecipe:
    """The recipe that a command line gives: a model or a recipe file, and options.

    Raises:
        RecipeError: With every fault found.
    """
    from holdfast.core.basin_recipe import BasinRecipe

    file, given = recipe_and_overrides(BasinRecipe, words)
    if file is None or file.suffix in {".yaml", ".yml"}:
        return read_recipe(BasinRecipe, file, given)
    return read_recipe(BasinRecipe, None, {"model_name_or_path": words[0], **given})
