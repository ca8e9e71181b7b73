"""The geometry of every checkpoint of a finished comparison, beside what the checkpoint gained and forgot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from holdfast.core.diagnosis import UPDATE, Diagnosis
from holdfast.core.errors import BadData, NotMeasurable
from holdfast.core.evidence import Evidence, SeedRun
from holdfast.core.foretelling import SIZE, Foretelling, LeftOut, Measured, Settings
from holdfast.core.scores import PointScores
from holdfast.measure.diagnose import Asked, Diagnosing, diagnose
from holdfast.measure.patients import patient
from holdfast.models.base import Base
from holdfast.probes.activation_geometry import ActivationGeometry
from holdfast.probes.capability_drift import CapabilityDrift
from holdfast.probes.tokens import TokenChoice
from holdfast.probes.weight_space import WeightSpace
from holdfast.store.run import RunFolder

MEASURES = (
    "stable_rank",
    "relative_fluctuation_retention",
    "relative_fluctuation_adaptation",
    "diagonal_frac",
    "singular_value_change",
    "subspace_distance/left/8",
    "subspace_distance/right/8",
    "intruders/left",
    "drift_relative/general",
    "drift_update_normalised/general",
    "drift_relative/target",
    "drift_ratio_relative",
    "procrustes_residual/general",
    "gram_cosine_distance/general",
    "cka_biased/general",
    "cka_unbiased/general",
    "shape_distance/general",
    "angular_drift_rad/general",
)
"""What is set against forgetting, each as its mean over the weights or modules for which it is defined."""

DRAWS = 400
"""Bootstrap draws of evaluation items."""

BRISK = Diagnosing(
    weights=WeightSpace(subspaces=(8,)),
    drift=CapabilityDrift(resamples=1),
    activations=ActivationGeometry(intervals=False, subspaces=(8,)),
    controls=False,
)
"""Without controls and without intervals inside a checkpoint: here checkpoints are the unit."""


@dataclass(frozen=True)
class Stored:
    """A checkpoint on disk with the scores that were reported of it.

    Attributes:
        family: The method.
        run: The run it belongs to.
        step: Its step.
        folder: Where it lies.
        scores: Its scores.
        base: Scores of the base on the same items.
    """

    family: str
    run: SeedRun
    step: int
    folder: Path
    scores: PointScores
    base: PointScores


def geometry_of(
    evidence: Evidence,
    output: Path,
    base: Base,
    prompts: Mapping[str, Asked],
    settings: Settings,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Foretelling:
    """Diagnose the checkpoints of all reported runs.

    Args:
        evidence: What the comparison measured.
        output: Its folder.
        base: Its base.
        prompts: Prompts by role.
        settings: Which checkpoints are taken, and how many tokens of a prompt are looked at.
        tick: Told how many checkpoints are done.

    Raises:
        BadData: If there is no checkpoint, or another base.
    """
    if base.identity != evidence.base_identity:
        raise BadData(f"the comparison in {output} was made with other weights than those of '{base.name}' now")
    listed = list(_listed(evidence, output, settings.every_checkpoint))
    stored = [each for each in listed if isinstance(each, Stored)]
    if not stored:
        raise BadData(f"{output} holds no checkpoint of a reported run: were they removed?")
    how = replace(BRISK, choice=TokenChoice(tokens=settings.tokens_per_prompt))
    found: list[Measured] = []
    left_out = [each for each in listed if isinstance(each, LeftOut)]
    for done, each in enumerate(stored):
        tick(done, len(stored))
        try:
            diagnosis = diagnose(patient(evidence.base, each.folder, base), prompts, how)
            found.append(_measured(each, evidence, diagnosis))
        except NotMeasurable as reason:
            # An update without a matrix, such as one of norms alone, and tuners that change no weight.
            why = str(reason).replace(str(each.folder), "it")
            left_out.append(LeftOut(family=each.family, seed=each.run.seed, step=each.step, reason=why))
    tick(len(stored), len(stored))
    return Foretelling(
        base=evidence.base,
        learn=evidence.learn,
        keep=evidence.keep,
        settings=settings,
        prompts={role: len(asked.prompts) for role, asked in prompts.items()},
        checkpoints=tuple(found),
        left_out=tuple(left_out),
    )


def _listed(evidence: Evidence, output: Path, every_checkpoint: bool) -> Iterator[Stored | LeftOut]:
    folders = [RunFolder(path) for path in sorted((output / "runs").glob("*-seed-*"))]
    for entrant in evidence.entrants:
        for run in entrant.runs:
            wanted = {"method": entrant.setting, "learning_rate": entrant.learning_rate, "seed": run.seed}
            if run.test is None:
                yield LeftOut(family=entrant.label, seed=run.seed, reason=run.failure or "the run has no scores")
                continue
            owner = next((f for f in folders if f.finished and wanted.items() <= f.recipe().items()), None)
            steps = owner.checkpoints() if owner is not None else {}
            if not steps:
                yield LeftOut(family=entrant.label, seed=run.seed, reason="its checkpoints are not in the folder")
                continue
            if not every_checkpoint:
                last = max(steps)
                yield Stored(entrant.label, run, last, steps[last], run.test, evidence.base_test)
                continue
            for point in run.curve:
                if point.step in steps:
                    folder = steps[point.step]
                    yield Stored(entrant.label, run, point.step, folder, point.scores, evidence.base_validation)


def _measured(stored: Stored, evidence: Evidence, diagnosis: Diagnosis) -> Measured:
    lost, draws = _lost(stored.base, stored.scores, evidence.keep)
    gained, _ = _lost(stored.base, stored.scores, evidence.learn)
    means: dict[str, float] = {}
    for name in MEASURES:
        values = [r.value for r in diagnosis.records if r.subject == UPDATE and r.quantity == name and r.site]
        defined = [value for value in values if value is not None]
        if defined:
            means[name] = fmean(defined)
    size = next(r for r in diagnosis.records if r.quantity == SIZE and not r.site)
    if size.value is None:
        raise NotMeasurable(str(size.reason))
    means[SIZE] = size.value
    return Measured(
        family=stored.family,
        seed=stored.run.seed,
        step=stored.step,
        gain=-gained,
        forgetting=lost,
        forgetting_draws=tuple(draws.tolist()),
        measures=means,
    )


def _lost(base: PointScores, tuned: PointScores, tasks: Sequence[str]) -> tuple[float, np.ndarray]:
    """Base less tuned in the mean over tasks of one unit, and on draws of items that depend on the items alone."""
    units = [scores.unit for task in tasks if (scores := base.of(task)) is not None]
    unit = "frac" if "frac" in units else "nats/token"
    values, draws = [], []
    for number, task in enumerate(tasks):
        before, after = base.of(task), tuned.of(task)
        if before is None or after is None or before.unit != unit:
            continue
        weights = np.array(before.weights)
        differences = np.array(before.values) - np.array(after.values)
        values.append(float(np.average(differences, weights=weights)))
        chosen = np.random.default_rng(number).integers(len(weights), size=(DRAWS, len(weights)))
        draws.append((differences * weights)[chosen].sum(1) / weights[chosen].sum(1))
    return fmean(values), np.mean(draws, axis=0)
