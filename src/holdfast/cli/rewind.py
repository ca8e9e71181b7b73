"""``holdfast rewind``: the point on the way to a finished checkpoint at which it should have been left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from torch import Tensor

    from holdfast.core.rewinding import Rewinding
    from holdfast.measure.walking import Search
    from holdfast.models.base import Base
    from holdfast.weights.path import Walkable

REPORT, REWINDING = "rewinding", "rewinding.json"

BEST = "best"
"""Name of the path that is taken where none is asked for."""


def rewind(
    base: Annotated[str, typer.Argument(metavar="BASE", help="Folder, hub id, or `miniature`.")],
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Adapter or model folder made from the base.")],
    learn: Annotated[
        list[str] | None, typer.Option("--learn", help="What was learned: a data file, task or suite; may repeat.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="What is to be kept: data files, tasks or suites; may repeat.")
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            "--rule",
            help="`one_standard_error`, `keep_gain(0.95)`, `lose_at_most(0.02)`, `weighted(1)` or `kl_budget(0.1)`.",
        ),
    ] = "one_standard_error",
    path: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            help="`own`, `additive`, `dense`, `cayley_sqrt`, `geodesic`, or with layers levelled `safe_scale`, "
            "`min_scale`, `drift`; the first is rewound, others are walked too.",
        ),
    ] = None,
    at: Annotated[
        float | None, typer.Option("--at", min=0, max=1, help="Write this point, without any search or data.")
    ] = None,
    output_dir: Annotated[Path, typer.Option("--output_dir", help="Where the checkpoint goes.")] = Path("runs/rewound"),
    initial: Annotated[
        Path | None,
        typer.Option("--initial", help="The adapter as it was right after it was attached: a folder or a file."),
    ] = None,
    drift: Annotated[
        Path | None, typer.Option("--drift", help="A diagnosis.json with drift on general prompts, for that path.")
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option("--checkpoints", help="Folder of saved checkpoints, to be walked beside the path.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Items that choose: train, validation or test.")] = "validation",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most items of a task.")] = None,
    budget: Annotated[int, typer.Option("--budget", min=2, help="Most points of a path that are scored.")] = 11,
    skip_decided: Annotated[
        bool,
        typer.Option(
            "--skip_decided", help="Do not ask what the points around have decided; a sample is asked all the same."
        ),
    ] = False,
    test: Annotated[
        bool, typer.Option("--test", help="Score base, chosen point and end on test items too, after the choice.")
    ] = False,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
    trust_remote_code: Annotated[bool, typer.Option("--trust_remote_code", help="Run code of the model.")] = False,
    allow_pickle: Annotated[bool, typer.Option("--allow_pickle", help="Open a base stored as pickles.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Find the point between a base and a checkpoint that keeps the gain and returns what was lost, and write it.

    Points are chosen on validation items; test items take no part. The result is an ordinary adapter or model folder,
    with the report in `rewinding/`. If the base itself is best, nothing is written. On the paths `safe_scale`,
    `min_scale` and `drift` strong layers are weakened first: where all are level is told, and `--at` writes that point.
    """
    from holdfast.core.errors import BadData
    from holdfast.measure.rewound import write_point
    from holdfast.metrics.operating_point.rules import rule_of
    from holdfast.models.base import open_base
    from holdfast.report.rewinding.publish import publish_rewinding
    from holdfast.report.rewinding.terminal import terminal_rewinding
    from holdfast.store.files import write_text
    from holdfast.weights.paths.complaints import PROVENANCE, complaints, recorded_marks, require_direction
    from holdfast.weights.quiet import quiet

    if at is None and not (learn and keep):
        raise BadData("name what was learned (--learn) and what is to be kept (--keep), or a point (--at)")
    asked_rule = rule_of(rule)
    if output_dir.is_dir() and any(output_dir.iterdir()):
        raise BadData(f"{output_dir} is there already and is not written over: name another --output_dir")
    if drift is not None and "drift" not in (path or []):
        raise BadData("--drift is what the path 'drift' goes by: ask for it with --path drift")
    require_direction(tuned, recorded_marks(tuned))
    opened = open_base(base, dtype=dtype, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    _require_own_base(tuned, opened)
    console = Console(stderr=as_json)
    with quiet():
        ways, refused = _ways(opened, tuned, path or [BEST], initial, checkpoints, drift)
        notes = (*complaints(tuned, recorded_marks(tuned)), *_told(ways, tuned, drift))
    if at is not None:
        with quiet():
            difference = write_point(ways[0], at, output_dir, opened)
        write_text(output_dir / PROVENANCE, _provenance(opened, tuned, output_dir, ways[0].label, at, {}))
        console.print(
            f"[bold]{output_dir}[/bold]  the point at {at:g} of the path '{ways[0].label}'; read back, its logits "
            f"differ by {difference:.1g} of the largest",
            highlight=False,
            soft_wrap=True,
        )
        for note in notes:
            console.print(f"Mind: {note}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        return
    from holdfast.measure.skipping import Skipping
    from holdfast.measure.walking import Search

    search = Search(rule=asked_rule, budget=budget, skipping=Skipping() if skip_decided else None)
    names, items = (learn or [], keep or []), (split, limit)
    found = _searched(opened, tuned, ways, refused, notes, names, search, items, test=test)
    if found.t > 0:
        with quiet():
            write_point(ways[0], found.t, output_dir, opened)
        chosen = {"step_frac": found.chosen.step_frac, "rule": found.rule, "verdict": found.verdict}
        write_text(output_dir / PROVENANCE, _provenance(opened, tuned, output_dir, ways[0].label, found.t, chosen))
    write_text(output_dir / REPORT / REWINDING, found.model_dump_json(exclude_none=True) + "\n")
    page = publish_rewinding(found, output_dir / REPORT, card=output_dir / "README.md" if found.t > 0 else None)
    if as_json:
        print(found.model_dump_json(exclude_none=True, indent=2))
        return
    console.print(terminal_rewinding(found))
    written = f"[bold]{output_dir}[/bold]" if found.t > 0 else "nothing is written: the base itself is best"
    console.print(f"\n{written}\n[bold]{page}[/bold]", highlight=False, soft_wrap=True)


def _searched(
    base: Base,
    tuned: Path,
    ways: list[Walkable],
    refused: Mapping[str, str],
    notes: Sequence[str],
    names: tuple[list[str], list[str]],
    search: Search,
    items: tuple[str, int | None],
    *,
    test: bool,
) -> Rewinding:
    from holdfast.cli.resolve import tasks_of
    from holdfast.core.errors import UnknownName
    from holdfast.core.task import SPLITS
    from holdfast.measure.rewind import rewind as searched
    from holdfast.measure.rewind import scored_at
    from holdfast.measure.walking import Questions, standing_still
    from holdfast.weights.adapter import form_of, is_adapter
    from holdfast.weights.quiet import quiet

    split, limit = items
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    learn, keep = (tasks_of(side) for side in names)
    reference = standing_still(base, learn, keep)
    questions = Questions(base, learn, keep, split=split, limit=limit, reference=reference)
    form = form_of(tuned) if is_adapter(tuned) else "full checkpoint"
    with Console(stderr=True).status("asking the base") as status, quiet():

        def tick(path: str, t: float, items: int) -> None:
            status.update(f"path '{path}' at {t:.3g}")

        found = searched(str(tuned), form, ways, questions, search, refused=refused, notes=notes, tick=tick)
        if not test:
            return found
        scores = scored_at(ways[0], sorted({0.0, found.t, 1.0}), replace(questions, split="test"), tick)
    return found.model_copy(update={"test": {f"{t:g}": each for t, each in scores.items()}})


def _require_own_base(tuned: Path, base: Base) -> None:
    """Refuse a checkpoint that says itself that it was made from other weights."""
    from holdfast.core.errors import IncompatibleUpdate
    from holdfast.weights.paths.complaints import PROVENANCE

    file = tuned / PROVENANCE
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    identity = told.get("base_identity", base.identity)
    if identity != base.identity:
        raise IncompatibleUpdate(
            f"{tuned} was made from '{told.get('base')}' with weights {identity[:8]}, and those of '{base.name}' are "
            f"{base.identity[:8]}: its way back leads to another model; give the base it was made from"
        )


def _ways(
    base: Base, tuned: Path, labels: list[str], initial: Path | None, checkpoints: Path | None, drift: Path | None
) -> tuple[list[Walkable], dict[str, str]]:
    """The paths that were asked for; a rival that is not there is told, the first must be there."""
    from holdfast.core.diagnosis import read_diagnosis
    from holdfast.core.errors import BadData, NotMeasurable
    from holdfast.weights.paths.catalogue import default_path, path_of
    from holdfast.weights.paths.checkpoints import CheckpointPath

    kept, drifts = _initial(tuned, initial), None if drift is None else read_diagnosis(drift)
    ways: list[Walkable] = []
    refused: dict[str, str] = {}
    for place, label in enumerate(dict.fromkeys(labels)):
        try:
            given = (label, kept, drifts)
            ways.append(default_path(tuned, base.model, kept) if label == BEST else path_of(tuned, base.model, *given))
        except NotMeasurable as reason:
            if not place:
                raise
            refused[label] = str(reason)
    if checkpoints is not None:
        folders = {int(each.name.rpartition("-")[2]): each for each in checkpoints.glob("*-*") if _numbered(each)}
        if not folders:
            raise BadData(f"{checkpoints} holds no folder with a step in its name, such as checkpoint-100 or step-100")
        ways.append(CheckpointPath(folders, base.model))
    return ways, refused


def _told(ways: Sequence[Walkable], tuned: Path, drift: Path | None) -> Iterator[str]:
    """What is to be known of the paths: where those are level on which layers are, and whose drift they go by."""
    from holdfast.core.diagnosis import read_diagnosis
    from holdfast.weights.paths.levelled import Levelled, level_told

    yield from (level_told(way) for way in ways if isinstance(way, Levelled))
    if drift is not None and Path(whose := read_diagnosis(drift).tuned).resolve() != tuned.resolve():
        yield f"the path 'drift' goes by a diagnosis of {whose}, and {tuned} is rewound"


def _numbered(folder: Path) -> bool:
    return folder.is_dir() and folder.name.rpartition("-")[2].isdigit()


def _initial(tuned: Path, given: Path | None) -> Mapping[str, Tensor] | Path | None:
    """Where training started: the folder or file that was named, or what a run keeps beside its checkpoints."""
    from holdfast.store.files import read_tensors
    from holdfast.store.run import RunFolder

    if given is None:
        return RunFolder(tuned.resolve().parent.parent).initial_tensors()
    return given if given.is_dir() else read_tensors(given)


def _provenance(base: Base, tuned: Path, written: Path, path: str, t: float, chosen: Mapping[str, Any]) -> str:
    from importlib.metadata import version

    from holdfast.weights.paths.complaints import MARKS_KEY, PROVENANCE, marks_to_record

    before = tuned / PROVENANCE
    origin = json.loads(before.read_text(encoding="utf-8")) if before.is_file() else {}
    # Where nobody knows how the checkpoint was trained to turn, a record of the point would say that somebody does.
    marks = {} if origin.pop(MARKS_KEY, None) is None else marks_to_record(written)
    content = {
        "base": base.name,
        "base_identity": base.identity,
        "rewound_from": str(tuned),
        "path": path,
        "t": t,
        **chosen,
        **marks,
        "holdfast": version("holdfast"),
        **({"training": origin} if origin else {}),
    }
    return json.dumps(content, indent=2) + "\n"
