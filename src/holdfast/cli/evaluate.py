"""``holdfast evaluate``: scores of a base and of checkpoints made from it, on the same items."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def evaluate(
    model: Annotated[str, typer.Argument(metavar="BASE", help="Folder, hub id, or `miniature`.")],
    checkpoints: Annotated[
        list[Path] | None, typer.Argument(metavar="[TUNED]...", help="Adapter or model folders made from the base.")
    ] = None,
    suite: Annotated[list[str] | None, typer.Option("--suite", help="Suites, tasks or data files; may repeat.")] = None,
    split: Annotated[str, typer.Option("--split", help="train, validation or test.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most items of a task.")] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
    trust_remote_code: Annotated[bool, typer.Option("--trust_remote_code", help="Run code of the model.")] = False,
    allow_pickle: Annotated[bool, typer.Option("--allow_pickle", help="Open weights stored as pickles.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print scores item by item as JSON.")] = False,
) -> None:
    """Score a base and checkpoints made from it, item by item, and say what changed.

    Texts are read for their loss and for the divergence from the base, questions are answered and graded.
    """
    from holdfast.core.errors import UnknownName
    from holdfast.core.recipe import TrainingOptions, read_recipe
    from holdfast.core.task import SPLITS

    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    given = {"model_name_or_path": model, "dtype": dtype}
    flags = {"trust_remote_code": trust_remote_code, "allow_pickle": allow_pickle}
    options = read_recipe(TrainingOptions, None, {**given, **flags})

    from holdfast.arena.jobs import opened
    from holdfast.cli.resolve import tasks_of
    from holdfast.core.scores import PointScores
    from holdfast.measure.evaluate import evaluate as scored
    from holdfast.measure.points import Checkpoint, Point, Untouched
    from holdfast.weights.quiet import quiet

    tasks = tasks_of(suite or ["general"])
    base = opened(options)
    points: dict[str, Point] = {
        "base": Untouched(),
        **{str(folder): Checkpoint(folder, allow_pickle=allow_pickle) for folder in checkpoints or ()},
    }
    reads = any(task.ask == "read" for task in tasks.values())
    reference = copy.deepcopy(base.model) if reads and len(points) > 1 else None
    scores: dict[str, PointScores] = {}
    for name, point in points.items():
        with quiet(), point.on(base.model) as live:
            scores[name] = scored(live, base.tokenizer, tasks, split=split, limit=limit, base=reference)
    if as_json:
        print("{" + ",\n".join(f'"{name}": {found.model_dump_json()}' for name, found in scores.items()) + "}")
        return
    Console().print(_table(scores))


def _table(scores: dict) -> Table:  # type: ignore[type-arg]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("task")
    for name in scores:
        table.add_column(name, justify="right", overflow="fold")
    before = scores["base"]
    for task in before.tasks:
        cells = []
        for found in scores.values():
            now = found.of(task.task)
            change = "" if found is before else f" ({now.mean - task.mean:+.3f})"
            kl = (
                "" if found is before or now.mean_kl_nats_per_token is None else f" KL {now.mean_kl_nats_per_token:.3f}"
            )
            cells.append(f"{now.mean:.3f}{change}{kl}")
        table.add_row(f"{task.task} [dim]{task.unit}, {len(task.ids)} items[/dim]", *cells)
    return table
