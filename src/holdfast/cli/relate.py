"""``holdfast relate``: does the geometry of checkpoints foretell what they forget?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from holdfast.core.foretelling import Foretelling, Settings

MEASURED, REPORT = "geometry.json", "geometry"
"""Within the folder of the comparison: what was measured, and the folder of the report."""


def relate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished comparison.")],
    every_checkpoint: Annotated[
        bool, typer.Option("--every_checkpoint", help="Take all checkpoints, with their validation scores.")
    ] = False,
    max_prompts: Annotated[int, typer.Option("--max_prompts", min=2, help="Most prompts of each kind.")] = 120,
    tokens_per_prompt: Annotated[
        int, typer.Option("--tokens_per_prompt", min=1, help="Tokens of each prompt that are looked at.")
    ] = 8,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
) -> None:
    """Measure the geometry of every checkpoint of a comparison and set it against gain and forgetting.

    Prompts are items of the comparison's own tasks. What was measured is kept in `geometry.json` and is measured anew
    when it is asked for otherwise; correlations are over methods and seeds, with the size of the update held fixed
    beside them. The page, a figure, the table and the records go into `geometry/`.
    """
    from holdfast.core.foretelling import Settings, read_foretelling
    from holdfast.store.files import write_text

    settings = Settings(every_checkpoint=every_checkpoint, max_prompts=max_prompts, tokens_per_prompt=tokens_per_prompt)
    file = folder / MEASURED
    found = read_foretelling(file) if file.is_file() and not again else None
    if found is None or found.settings != settings:
        found = _measured(folder, settings)
        write_text(file, found.model_dump_json() + "\n")
    published(found, folder / REPORT)


def published(found: Foretelling, folder: Path) -> None:
    """Write everything that people read, and tell on the terminal where it is."""
    from holdfast.report.relations.analysis import related
    from holdfast.report.relations.publish import publish_relations
    from holdfast.report.relations.table import terminal_relations, unmeasured
    from holdfast.report.relations.verdict import caveats, scope

    answer = related(found)
    page, console = publish_relations(answer, folder), Console()
    head = f"forgetting of {scope(answer)} against their geometry, {answer.size.level:.0%} intervals\n"
    console.print(head, highlight=False, soft_wrap=True)
    console.print(terminal_relations(answer))
    for line in caveats(answer):
        console.print(line, style="dim", highlight=False, soft_wrap=True)
    for line in unmeasured(answer):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"\n[bold]{page}[/bold]", highlight=False, soft_wrap=True)


def _measured(folder: Path, settings: Settings) -> Foretelling:
    from holdfast.arena.geometry import geometry_of
    from holdfast.arena.jobs import opened
    from holdfast.cli.diagnose import in_tokens
    from holdfast.cli.resolve import tasks_of
    from holdfast.core.evidence import read_evidence
    from holdfast.core.recipe import TrainingOptions
    from holdfast.tasks.prompts import prompts_of
    from holdfast.weights.quiet import quiet

    evidence = read_evidence(folder / "evidence.json")
    options = TrainingOptions(**{k: v for k, v in evidence.recipe.items() if k in TrainingOptions.model_fields})
    base = opened(options)
    prompts = {
        role: in_tokens(
            ", ".join(names),
            prompts_of(list(tasks_of(names).values()), settings.max_prompts),
            base,
            settings.tokens_per_prompt,
        )
        for role, names in (("general", evidence.keep), ("target", evidence.learn))
    }
    with Console(stderr=True).status("measuring checkpoints") as status, quiet():
        return geometry_of(
            evidence, folder, base, prompts, settings,
            lambda done, total: status.update(f"checkpoints {done}/{total}"),
        )  # fmt: skip
