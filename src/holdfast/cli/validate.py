"""``holdfast validate``: read a recipe and its data, and say everything that is wrong with them."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from holdfast.cli.options import recipe_and_overrides
from holdfast.core.recipe import ArenaRecipe, read_recipe


def validate(context: typer.Context) -> None:
    """Check a recipe before anything runs: options, names, data files, budgets and overlap, all faults at once.

    `holdfast validate [RECIPE.yaml] [--option value ...]`, with the options of `holdfast arena`.
    """
    recipe, overrides = recipe_and_overrides(ArenaRecipe, context.args)
    read = read_recipe(ArenaRecipe, recipe, overrides)

    from holdfast.arena.plan import planned
    from holdfast.cli.resolve import contest_of

    contest = contest_of(read)
    plan = planned(contest, Path())
    console = Console(highlight=False)
    roles = {"learn": contest.learn, "keep": contest.keep, "source": contest.source}
    for role, name, task in ((role, name, task) for role, tasks in roles.items() for name, task in tasks.items()):
        counts = ", ".join(f"{len(task.examples(split))} {split}" for split in ("train", "validation", "test"))
        console.print(f"{role} [bold]{name}[/bold]: {counts}; asked by '{task.ask}'")
    if len(contest.learn) > 1:
        examples, _ = plan.items.taught()
        each = len(examples) // len(contest.learn)
        console.print(f"{len(contest.learn)} tasks are learned at once: {each} training examples of each, in turns")
    if contest.source:
        console.print(f"{len(plan.items.source())} training examples stand for what the model already knows")
    for label, settled in plan.entrants.items():
        gap = (settled.trainable_params - settled.asked_params) / settled.asked_params
        console.print(f"[bold]{label}[/bold]: {settled.trainable_params:,} parameters ({gap:+.1%}, {settled.standing})")
    console.print(f"{recipe or 'the recipe'} is valid; its key is {read.key()}")
