"""``holdfast relate``: does the geometry of checkpoints foretell what they forget?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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

    Prompts are items of the comparison's own tasks. What was measured is kept in `geometry.json`, and the table is made
    from it; correlations are over methods and seeds, with the size of the update held fixed beside them.
    """
    from holdfast.core.foretelling import read_foretelling
    from holdfast.report.relations import related, relations_table, terminal_relations
    from holdfast.store.files import write_text

    if again or not (folder / MEASURED).is_file():
        _measure(folder, every_checkpoint, max_prompts, tokens_per_prompt)
    found = read_foretelling(folder / MEASURED)
    relations = related(found)
    write_text(folder / TABLE, relations_table(found, relations))
    console = Console()
    console.print(f"forgetting of {len(found.checkpoints)} checkpoints against their geometry, 95% intervals\n")
    console.print(terminal_relations(relations))
    console.print(f"\n[bold]{folder / TABLE}[/bold]", highlight=False, soft_wrap=True)


def _measure(folder: Path, every_checkpoint: bool, max_prompts: int, tokens: int) -> None:
    from dataclasses import replace

    from holdfast.arena.geometry import BRISK, geometry_of
    from holdfast.cli.diagnose import in_tokens
    from holdfast.cli.resolve import tasks_of
    from holdfast.core.evidence import read_evidence
    from holdfast.core.recipe import TrainingOptions
    from holdfast.models.base import open_base
    from holdfast.probes.tokens import TokenChoice
    from holdfast.store.files import write_text
    from holdfast.tasks.prompts import prompts_of
    from holdfast.weights.quiet import quiet

    evidence = read_evidence(folder / "evidence.json")
    options = TrainingOptions(**{k: v for k, v in evidence.recipe.items() if k in TrainingOptions.model_fields})
    base = open_base(
        options.model_name_or_path,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        allow_pickle=options.allow_pickle,
    )
    prompts = {
        role: in_tokens(", ".join(names), prompts_of(list(tasks_of(names).values()), max_prompts), base, tokens)
        for role, names in (("general", evidence.keep), ("target", evidence.learn))
    }
    console = Console(stderr=True)
    with console.status("measuring checkpoints") as status, quiet():
        found = geometry_of(
            evidence, folder, base, prompts, replace(BRISK, choice=TokenChoice(tokens=tokens)),
            every_checkpoint=every_checkpoint,
            tick=lambda done, total: status.update(f"checkpoints {done}/{total}"),
        )  # fmt: skip
    write_text(folder / MEASURED, found.model_dump_json() + "\n")
