"""The rows of the table as repeated runs: who finished which sequences, with the scores item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from holdfast.core.scores import PointScores, TaskScores, Unit
from holdfast.core.sequence_evidence import ChainRun, SequenceEntrant, SequenceEvidence, Stage
from holdfast.metrics.continual import SequenceRun
from holdfast.metrics.tradeoff import BASE, UnusableScores
from holdfast.report.sequence.scale import Scale, items_of, scale_of

Items = Float[np.ndarray, " items"]


@dataclass(frozen=True)
class Entered:
    """A row: all that was repeated of it.

    Attributes:
        name: Of the row.
        entrant: Whose; nothing for the untouched base.
        runs: Its repetitions; of rows that are no sequence only base and end are known.
        ends: For each run the models it ended with: one, or one a task where tasks are trained alone.
        chains: For each run the stages it consists of, where it is a sequence.
        asked: How many repetitions were tried.
        ceiling: The row that says what tasks reach outside the sequence, where there is one.
    """

    name: str
    entrant: SequenceEntrant | None
    runs: tuple[SequenceRun, ...]
    ends: tuple[tuple[PointScores, ...], ...]
    chains: tuple[ChainRun, ...] = ()
    asked: int = 0
    ceiling: str | None = None

    @property
    def in_sequence(self) -> bool:
        """Whether tasks were trained one after the other."""
        return self.entrant is not None and self.entrant.regime == "sequence"


@dataclass(frozen=True)
class Scores:
    """Where scores of an evidence are looked up, each on its scale.

    Attributes:
        evidence: The evidence.
    """

    evidence: SequenceEvidence

    @cached_property
    def scales(self) -> Mapping[str, Scale]:
        """Task -> its scale; tasks of one unit share it."""
        units = {task: self.base(task).unit for task in self.evidence.tasks}
        found = {unit: self._scale(unit, [t for t in units if units[t] == unit]) for unit in set(units.values())}
        return {task: found[unit] for task, unit in units.items()}

    def base(self, task: str) -> TaskScores:
        """Scores of the untouched base.

        Raises:
            UnusableScores: If it was not asked.
        """
        return self.of(self.evidence.base_test, task, "the untouched base")

    def of(self, point: PointScores, task: str, whose: str) -> TaskScores:
        """Scores of a point on a task or an ability.

        Raises:
            UnusableScores: If it was not asked.
        """
        if (found := point.of(task)) is None:
            raise UnusableScores(f"there are no scores of {whose} on '{task}'; score every task after every stage")
        return found

    def items(self, point: PointScores, task: str, whose: str) -> Items:
        """One number an item, on the scale of the task."""
        return self.scales[task].on(items_of(self.of(point, task, whose), self.base(task)))

    def _scale(self, unit: Unit, tasks: Sequence[str]) -> Scale:
        points = [stage.test for entrant in self.evidence.entrants for run in entrant.runs for stage in run.stages]
        known = ((point.of(task), self.base(task)) for point in (self.evidence.base_test, *points) for task in tasks)
        return scale_of(unit, (items_of(scores, base) for scores, base in known if scores is not None))


def entered(evidence: SequenceEvidence, scores: Scores) -> tuple[Entered, ...]:
    """All rows: sequences, then tasks alone, then tasks mixed, then the untouched base.

    Raises:
        UnusableScores: If scores of a task are missing, or of other items than the base was asked.
    """
    order = {"sequence": 0, "alone": 1, "jointly": 2}
    entrants = sorted(evidence.entrants, key=lambda entrant: order[entrant.regime])
    outside = {e.label: _outside(e, scores) for e in entrants if e.regime != "sequence"}
    rows = [_sequence(e, scores, outside) if e.regime == "sequence" else outside[e.label] for e in entrants]
    base = _run(evidence.tasks, 0, dict.fromkeys(evidence.tasks, evidence.base_test), scores, BASE)
    return (*rows, Entered(BASE, None, (base,), ((evidence.base_test,),), asked=1))


def _sequence(entrant: SequenceEntrant, scores: Scores, outside: Mapping[str, Entered]) -> Entered:
    done = [run for run in entrant.runs if run.failure is None and len(run.stages) == len(run.order)]
    ceiling = _ceiling_of(entrant, outside)
    alone: dict[str, Items] = {}
    if ceiling is not None:
        runs = outside[ceiling].runs
        # The same numbers for every run: the mean over the seeds, item by item.
        alone = {task: np.mean([run.items[task][-1] for run in runs], axis=0) for task in scores.evidence.tasks}
    jointly = ceiling is not None and _regime(outside[ceiling]) == "jointly"
    return Entered(
        name=entrant.label,
        entrant=entrant,
        runs=tuple(
            SequenceRun(
                order=run.order,
                seed=run.seed,
                items={task: _stages(run.stages, task, scores, entrant.label) for task in run.order},
                alone=alone,
                trained="jointly" if jointly else "alone",
            )
            for run in done
        ),
        ends=tuple((run.stages[-1].test,) for run in done),
        chains=tuple(done),
        asked=len(entrant.runs),
        ceiling=ceiling,
    )


def _stages(stages: Sequence[Stage], task: str, scores: Scores, whose: str) -> Float[np.ndarray, "stages items"]:
    base = scores.items(scores.evidence.base_test, task, BASE)
    return np.stack([base, *(scores.items(stage.test, task, whose) for stage in stages)])


def _outside(entrant: SequenceEntrant, scores: Scores) -> Entered:
    """Tasks trained alone or mixed: a run a seed, of those seeds that have all."""
    tasks = scores.evidence.tasks
    by_seed: dict[int, dict[str, PointScores]] = {}
    for run in entrant.runs:
        if run.failure is None and run.stages:
            taught = run.order if entrant.regime == "alone" else tasks
            by_seed.setdefault(run.seed, {}).update(dict.fromkeys(taught, run.stages[-1].test))
    whole = {seed: ends for seed, ends in by_seed.items() if set(ends) >= set(tasks)}
    asked = {run.seed for run in entrant.runs}
    models = [tuple({id(point): point for point in ends.values()}.values()) for ends in whole.values()]
    runs = [_run(tasks, seed, ends, scores, entrant.label) for seed, ends in whole.items()]
    return Entered(entrant.label, entrant, tuple(runs), tuple(models), asked=len(asked))


def _run(tasks: tuple[str, ...], seed: int, ends: Mapping[str, PointScores], scores: Scores, whose: str) -> SequenceRun:
    """A run of which only the base and the end are known."""
    items = {}
    for task in tasks:
        first = scores.items(scores.evidence.base_test, task, BASE)
        rows = np.full((len(tasks) + 1, first.size), np.nan)
        rows[0], rows[-1] = first, scores.items(ends[task], task, whose)
        items[task] = rows
    return SequenceRun(tasks, seed, items)


def _ceiling_of(entrant: SequenceEntrant, outside: Mapping[str, Entered]) -> str | None:
    """Who says what the tasks reach outside the sequence: tasks alone before mixed, then the same method."""
    usable = [row for row in outside.values() if row.runs]
    ranked = sorted(
        usable,
        key=lambda row: (_regime(row) != "alone", row.entrant is None or row.entrant.setting != entrant.setting),
    )
    return ranked[0].name if ranked else None


def _regime(row: Entered) -> str:
    return row.entrant.regime if row.entrant is not None else BASE
