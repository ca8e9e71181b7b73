"""``holdfast validate``: read a recipe and its data, and say everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
import yaml
from rich.console import Console

from holdfast.cli.options import recipe_and_overrides
from holdfast.core.recipe import ArenaRecipe, read_recipe
from holdfast.core.sequence_recipe import SequenceRecipe

if TYPE_CHECKING:
    from holdfast.core.task import Task

SEQUENCE: Final = "tasks"
"""What only recipes of sequences name."""


def validate(context: typer.Context) -> None:
    """Check a recipe before anything runs: options, names, data files, budgets and overlap, all faults at once.

    `holdfast validate [RECIPE.yaml] [--option value ...]`, with the options of `holdfast arena`; where `tasks` are
    named, with those of `holdfast sequence`.
    """
    console = Console(highlight=False)
    check = _sequences if is_of_sequences(context.args) else _comparison
    file, key = check(context.args, console)
    console.print(f"{file or 'the recipe'} is valid; its key is {key}")


def is_of_sequences(words: Sequence[str]) -> bool:
    """Whether a command line, or the recipe that it begins with, names tasks that are learned one after the other."""
    if any(word.partition("=")[0] == f"--{SEQUENCE}" for word in words):
        return True
    if not words or words[0].startswith("--"):
        return False
    try:
        written = yaml.safe_load(Path(words[0]).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False  # its reader says what is wrong with it
    return isinstance(written, dict) and SEQUENCE in written


def _comparison(words: Sequence[str], console: Console) -> tuple[Path | None, str]:
    file, overrides = recipe_and_overrides(ArenaRecipe, words)
    read = read_recipe(ArenaRecipe, file, overrides)

    from holdfast.arena.plan import planned
    from holdfast.cli.resolve import contest_of

    contest = contest_of(read)
    plan = planned(contest, Path())
    _listed(console, {"learn": contest.learn, "keep": contest.keep, "source": contest.source})
    if len(contest.learn) > 1:
        examples, _ = plan.items.taught()
        each = len(examples) // len(contest.learn)
        console.print(f"{len(contest.learn)} tasks are learned at once: {each} training examples of each, in turns")
    if contest.source:
        console.print(f"{len(plan.items.source())} training examples stand for what the model already knows")
    for label, settled in plan.entrants.items():
        gap = (settled.trainable_params - settled.asked_params) / settled.asked_params
        console.print(f"[bold]{label}[/bold]: {settled.trainable_params:,} parameters ({gap:+.1%}, {settled.standing})")
    return file, read.key()


def _sequences(words: Sequence[str], console: Console) -> tuple[Path | None, str]:
    file, overrides = recipe_and_overrides(SequenceRecipe, words)
    read = read_recipe(SequenceRecipe, file, overrides)

    from holdfast.arena.sequence.plan import planned_sequence
    from holdfast.cli.resolve import curriculum_of

    curriculum = curriculum_of(read)
    plan = planned_sequence(curriculum, Path())
    _listed(console, {"learn": curriculum.tasks, "keep": curriculum.keep, "source": curriculum.source})
    for number, order in enumerate(curriculum.orders, start=1):
        console.print(f"order {number}: {', '.join(order)}")
    for row in plan.rows.values():
        console.print(f"[bold]{row.label}[/bold]: {row.params:,} parameters")
    lessons = [lesson for row in plan.rows.values() for lesson in plan.lessons_of(row) for _ in read.seeds]
    console.print(
        f"{len(lessons)} sequences of together {sum(map(len, lessons))} stages are reported; before them at least "
        f"{read.learning_rate_tries} learning rates of each method are tried, in the first order"
    )
    return file, read.key()


def _listed(console: Console, roles: Mapping[str, Mapping[str, Task]]) -> None:
    for role, name, task in ((role, name, task) for role, tasks in roles.items() for name, task in tasks.items()):
        counts = ", ".join(f"{len(task.examples(split))} {split}" for split in ("train", "validation", "test"))
        console.print(f"{role} [bold]{name}[/bold]: {counts}; asked by '{task.ask}'")
