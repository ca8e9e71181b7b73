"""``holdfast relate``: does the geometry of checkpoints foretell what they forget?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from holdfast.core.foretelling import Foretelling, Settings

MEASURED, TABLE = "geometry.json", "geometry.md"


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
    beside them.
    """
    from holdfast.core.foretelling import Settings, read_foretelling
    from holdfast.report.relations import left_out, related, relations_table, terminal_relations
    from holdfast.store.files import write_text

    settings = Settings(every_checkpoint=every_checkpoint, max_prompts=max_prompts, tokens_per_prompt=tokens_per_prompt)
    file, console = folder / MEASURED, Console()
    found = read_foretelling(file) if file.is_file() and not again else None
    if found is None or found.settings != settings:
        found = _measured(folder, settings)
        write_text(file, found.model_dump_json() + "\n")
    relations = related(found)
    write_text(folder / TABLE, relations_table(found, relations))
    console.print(f"forgetting of {len(found.checkpoints)} checkpoints against their geometry, 95% intervals\n")
    console.print(terminal_relations(relations))
    for line in left_out(found):
        console.print(f"not measured: {line}", highlight=False, soft_wrap=True)
    console.print(f"\n[bold]{folder / TABLE}[/bold]", highlight=False, soft_wrap=True)


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
