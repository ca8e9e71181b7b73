"""Plain training, scaled to move as far as another entrant did: what its forgetting owes to going less far.

    python scripts/norm_matched.py runs/isolation runs/isolation-matched

takes a finished comparison, scales for every entrant and seed the change that ``--of`` (plain full fine-tuning) made to
the Frobenius norm of the change that the entrant made, and scores that point on the test items. The points go into
``evidence.json`` of the second folder, as entrants of their own with the same seeds. What has been scored is not scored
again.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch

from holdfast.arena.engine import EVIDENCE
from holdfast.arena.exams import examined
from holdfast.arena.jobs import opened
from holdfast.arena.plan import Plan, planned
from holdfast.cli.resolve import contest_of
from holdfast.core.evidence import Entrant, Evidence, SeedRun, read_evidence
from holdfast.core.recipe import ArenaRecipe
from holdfast.core.record import Record
from holdfast.core.scores import PointScores
from holdfast.models.base import Base
from holdfast.store.files import write_text
from holdfast.store.run import RunFolder, read_scores, write_scores
from holdfast.weights.paths.catalogue import default_path
from holdfast.weights.update import Update


def main() -> None:
    """Scale, score, and write the evidence."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path, help="folder of the comparison")
    asked.add_argument("output", type=Path, help="folder for what is scored")
    asked.add_argument("--of", default="full", help="label of the entrant that is scaled")
    given = asked.parse_args()
    torch.set_num_threads(1)
    evidence = read_evidence(given.folder / EVIDENCE)
    recipe = ArenaRecipe(**evidence.recipe)
    plan, base = planned(contest_of(recipe), given.folder), opened(recipe)
    scaled = next(entrant for entrant in evidence.entrants if entrant.label == given.of)
    changes = {run.seed: _update(plan, scaled, run.seed, evidence, base) for run in scaled.runs}
    matched = []
    for entrant in evidence.entrants:
        runs = []
        for run in entrant.runs if entrant is not scaled else ():
            factor = _update(plan, entrant, run.seed, evidence, base).norm() / changes[run.seed].norm()
            name = re.sub(r"[^\w.=]+", "-", f"{entrant.label} seed {run.seed}").strip("-")
            test = _scored(changes[run.seed].scaled(factor), given.output / f"{name}.json", plan, base)
            facts = (Record(subject="run", quantity="scale", value=factor, unit="x"),)
            runs.append(SeedRun(seed=run.seed, test=test, facts=facts))
        if runs:
            label = f"{given.of} as far as {entrant.label}"
            matched.append(scaled.model_copy(update={"label": label, "runs": tuple(runs)}))
    found = evidence.model_copy(update={"entrants": tuple(matched)})
    write_text(given.output / EVIDENCE, found.model_dump_json(exclude_none=True) + "\n")


def _update(plan: Plan, entrant: Entrant, seed: int, evidence: Evidence, base: Base) -> Update:
    assert entrant.learning_rate is not None, "entrants without a rate have no runs"
    job = plan.run_job(entrant.label, entrant.learning_rate, seed, evidence.base_identity, reported=True)
    folder = RunFolder(job.folder)
    return default_path(folder.checkpoint(plan.recipe.max_steps), base.model, folder.initial_tensors()).at(1.0)


def _scored(update: Update, file: Path, plan: Plan, base: Base) -> PointScores:
    if not file.is_file():
        with update.added_to(base.model) as model:
            write_scores(file, examined(model, base, plan.test, plan.recipe, lambda what, share: None, None))
    return read_scores(file)


if __name__ == "__main__":
    main()
