"""``holdfast probe``: which tensors of a model a task needs, and what that says of a larger model of the family."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from holdfast.core.parameter_plan import ParameterPlan
    from holdfast.core.record import Record
    from holdfast.weights.contracts import Method


def probe(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder, hub id, or `miniature`.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="A data file, or the name of a task.")],
    method: Annotated[str, typer.Option("--method", help="Who chooses, with its options.")] = "trace_probe",
    ratio: Annotated[float | None, typer.Option("--ratio", help="Share that is chosen; 0.1 by default.")] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="A share of `tensors` or of `params`.")] = None,
    steps: Annotated[int | None, typer.Option("--probe_steps", help="Steps; one epoch by default.")] = None,
    rate: Annotated[float | None, typer.Option("--probe_learning_rate", help="Small models want more.")] = None,
    train_items: Annotated[int | None, typer.Option("--train_items", help="Most examples; all by default.")] = None,
    rows: Annotated[int, typer.Option("--per_device_train_batch_size", help="Examples in a batch.")] = 16,
    max_length: Annotated[int, typer.Option("--max_length", help="Longest example in tokens.")] = 512,
    seed: Annotated[int, typer.Option("--seed", help="Of the order of examples.")] = 1,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
    trust_remote_code: Annotated[bool, typer.Option("--trust_remote_code", help="Run code of the model.")] = False,
    allow_pickle: Annotated[bool, typer.Option("--allow_pickle", help="Open weights stored as pickles.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Where the plan goes.")] = None,
    map_to: Annotated[str | None, typer.Option("--map_to", help="A larger model: carry the list over to it.")] = None,
    map_out: Annotated[Path | None, typer.Option("--map_out", help="Where the plan for the larger goes.")] = None,
    against: Annotated[Path | None, typer.Option("--against", help="Another plan, to be compared with.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Try a task out, say which tensors it moves most, and put the model back as it was.

    The list is a plan that `trace_probe` trains by, on any machine. With --map_to it is read at the layers of a larger
    model of the family, by module type and relative depth, without opening its weights; --against compares the list
    (the mapped one, if there is one) with a plan of the same model.
    """
    from holdfast.arena.jobs import opened
    from holdfast.cli.listing_plan import agreed, listed
    from holdfast.cli.resolve import lesson_of
    from holdfast.core.errors import RecipeError
    from holdfast.core.parameter_plan import read_plan
    from holdfast.core.recipe import TrainRecipe, read_recipe
    from holdfast.methods.small_to_large import agreement, mapped, sizes_of
    from holdfast.models.base import skeleton
    from holdfast.store.files import write_text
    from holdfast.train.first_look import probed

    if map_out is not None and map_to is None:
        raise RecipeError(["map_out: nothing is mapped; say with --map_to to which model"], "probe")
    if folders := [str(file) for file in (out, map_out) if file is not None and file.is_dir()]:
        raise RecipeError([f"'{folders[0]}' is a folder; name a file for the plan"], "probe")
    recipe = read_recipe(
        TrainRecipe,
        None,
        {
            "model_name_or_path": model,
            "target": task,
            "method": method,
            "train_items": train_items,
            "per_device_train_batch_size": rows,
            "max_length": max_length,
            "seed": seed,
            "dtype": dtype,
            "trust_remote_code": trust_remote_code,
            "allow_pickle": allow_pickle,
        },
    )
    chooser, items = lesson_of(recipe)
    given = {"ratio": ratio, "budget": budget, "probe_steps": steps, "probe_learning_rate": rate}
    chooser = chosen_by(chooser, {name: value for name, value in given.items() if value is not None})
    # What may be wrong with the other files is said before the probe, which takes long.
    own = None if against is None else read_plan(against)
    larger = None if map_to is None else sizes_of(skeleton(map_to, trust_remote_code=trust_remote_code))
    # A probe reads all that there is, and is not limited to what some steps of a training would see.
    limit = None if train_items is None else train_items // len(items.tasks)
    examples, tasks = replace(items, limit=limit).taught()
    base = opened(recipe)
    console = Console(highlight=False, stderr=as_json)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        bar.add_task(f"probing {base.name} with {len(examples)} examples of {task}")
        plan, facts = probed(base, chooser, examples, tasks, recipe)
    carried = None
    if larger is not None:
        share = {name: plan.settings[name] for name in ("ratio", "budget") if name in plan.settings}
        carried = mapped(plan, larger, name=str(map_to), **share)
    compared = () if own is None else agreement(carried or plan, own)
    for file, content in ((out, plan), (map_out, carried)):
        if file is not None and content is not None:
            write_text(file, content.model_dump_json(indent=2) + "\n")
    if as_json:
        print(json.dumps(_document(plan, facts, carried, compared), indent=2))
        return
    listed(console, plan, base.name, facts)
    if carried is not None:
        listed(console, carried, str(map_to))
    if compared:
        agreed(console, compared, str(against))
    for file in (out, map_out):
        if file is not None:
            console.print(f"\n[bold]{file}[/bold]", soft_wrap=True)


def chosen_by(method: Method, given: dict[str, Any]) -> Method:
    """A method with further options.

    Raises:
        RecipeError: If it does not have one of them.
    """
    from holdfast.core.errors import RecipeError

    known = {field.name for field in fields(method)}  # type: ignore[arg-type]  # methods are dataclasses
    if unknown := [name for name in given if name not in known]:
        raise RecipeError([f"{unknown[0]}: '{method.spec()}' has no such option"], "probe")
    return replace(method, **given)  # type: ignore[type-var]


def _document(
    plan: ParameterPlan, facts: tuple[Record, ...], carried: ParameterPlan | None, compared: tuple[Record, ...]
) -> dict[str, Any]:
    return {
        "plan": plan.model_dump(mode="json"),
        "facts": [fact.model_dump(exclude_none=True) for fact in facts],
        "mapped": None if carried is None else carried.model_dump(mode="json"),
        "agreement": [record.model_dump(exclude_none=True) for record in compared],
    }
