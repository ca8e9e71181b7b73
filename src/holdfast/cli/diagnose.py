"""``holdfast diagnose``: where a fine-tuning acted, and whether it damaged what the model knew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from holdfast.core.diagnosis import Diagnosis
    from holdfast.measure.diagnose import Asked
    from holdfast.models.base import Base

DIAGNOSIS = "diagnosis.json"

LONGEST = 512
"""Tokens of a prompt that are read."""


def diagnose(
    base: Annotated[str, typer.Argument(metavar="BASE", help="Folder, hub id, or `miniature`.")],
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Adapter or model folder made from the base.")],
    general: Annotated[
        str | None, typer.Option("--general", help="Prompts of what is to be kept: a file, a task or a suite.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Prompts of what was learned: a file, a task or a suite.")
    ] = None,
    output_dir: Annotated[Path, typer.Option("--output_dir", help="Where everything goes.")] = Path("runs/diagnosis"),
    max_prompts: Annotated[int, typer.Option("--max_prompts", min=1, help="Most prompts of each kind.")] = 300,
    tokens_per_prompt: Annotated[
        int, typer.Option("--tokens_per_prompt", min=1, help="Tokens of each prompt that are looked at.")
    ] = 8,
    sites: Annotated[
        list[str] | None, typer.Option("--site", help="Modules whose outputs are compared; may repeat.")
    ] = None,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Measure a random update of the same size beside it.")
    ] = True,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
    trust_remote_code: Annotated[bool, typer.Option("--trust_remote_code", help="Run code of the model.")] = False,
    allow_pickle: Annotated[bool, typer.Option("--allow_pickle", help="Open weights stored as pickles.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the diagnosis as JSON.")] = False,
) -> None:
    """Say where a fine-tuning acted in the weights and, given prompts, what it did to activations.

    Without prompts only weights are looked at; two full checkpoints are then read tensor by tensor, and no model is
    opened.
    """
    from holdfast.core.errors import BadData
    from holdfast.measure.diagnose import Diagnosing
    from holdfast.measure.diagnose import diagnose as measured
    from holdfast.measure.patients import patient
    from holdfast.models.base import open_base
    from holdfast.probes.tokens import TokenChoice
    from holdfast.store.files import write_text
    from holdfast.weights.adapter import is_adapter
    from holdfast.weights.paths.complaints import complaints, recorded_marks
    from holdfast.weights.quiet import quiet

    given = {role: text for role, text in (("general", general), ("target", target)) if text is not None}
    if sites and not given:
        raise BadData("--site: what modules say is compared on prompts; give --general or --target too")
    opened: Base | None = None
    if given or is_adapter(tuned):
        opened = open_base(base, dtype=dtype, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    prompts = {role: asked(text, opened, max_prompts, tokens_per_prompt) for role, text in given.items() if opened}
    how = Diagnosing(sites=tuple(sites or ()), choice=TokenChoice(tokens=tokens_per_prompt), controls=controls)
    notes = complaints(tuned, recorded_marks(tuned), allow_pickle=allow_pickle)
    console = Console(stderr=True)
    with console.status("reading the update") as status, quiet():

        def tick(what: str, done: int, total: int) -> None:
            status.update(f"{what} {done}/{total}")

        found = measured(patient(base, tuned, opened, allow_pickle=allow_pickle), prompts, how, tick, notes=notes)
    write_text(output_dir / DIAGNOSIS, found.model_dump_json(exclude_none=True) + "\n")
    published(found, output_dir, as_json=as_json)


def asked(text: str, base: Base, limit: int, tokens: int) -> Asked:
    """Prompts by file, task or suite, in tokens of the base.

    Raises:
        BadData: If there is no such file, or no prompt is long enough.
    """
    from holdfast.cli.resolve import tasks_of
    from holdfast.tasks.prompts import prompts_of, read_prompts

    path = Path(text)
    texts = read_prompts(path, limit) if path.suffix else prompts_of(list(tasks_of([text]).values()), limit)
    return in_tokens(text, texts, base, tokens)


def in_tokens(source: str, texts: Sequence[str], base: Base, tokens: int) -> Asked:
    """Prompts in tokens of the base; those too short to be looked at are left out.

    Raises:
        BadData: If no prompt is long enough.
    """
    from holdfast.core.errors import BadData
    from holdfast.measure.cached import room
    from holdfast.measure.diagnose import Asked

    most = min(LONGEST, room(base.model) or LONGEST)
    rows = [tuple(base.tokenizer(text, verbose=False)["input_ids"])[:most] for text in texts]
    long = [row for row in rows if len(row) > tokens]
    if not long:
        raise BadData(
            f"'{source}': none of its {len(rows)} prompts has {tokens} tokens after its first; give longer prompts, or "
            "a smaller --tokens_per_prompt"
        )
    return Asked(source, long)


def published(diagnosis: Diagnosis, folder: Path, *, as_json: bool) -> None:
    """Write everything that people read, and tell on the terminal where it is."""
    from holdfast.report.diagnosis.caveats import caveats
    from holdfast.report.diagnosis.publish import publish_diagnosis
    from holdfast.report.diagnosis.terminal import terminal_summary

    page = publish_diagnosis(diagnosis, folder)
    if as_json:
        print(diagnosis.model_dump_json(exclude_none=True, indent=2))
        return
    console = Console()
    console.print(terminal_summary(diagnosis))
    for caveat in caveats(diagnosis):
        said = f"\nMind: {caveat[:1].lower()}{caveat[1:]}"
        console.print(said, style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(f"\n[bold]{page}[/bold]", highlight=False, soft_wrap=True)
