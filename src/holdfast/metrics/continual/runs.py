"""One sequence of trainings with its scores item by item, so that numbers of sequences can have intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from holdfast.metrics.continual.matrix import Ceiling, ScoreMatrix, Trained, check_scores, fixed
from holdfast.metrics.tradeoff import UnusableScores


@dataclass(frozen=True, eq=False)
class SequenceRun:
    """The scores of one sequence on the items of its tasks; higher is better.

    Attributes:
        order: Names of the tasks as they were trained.
        seed: Training seed.
        items: Task -> a row a stage, the first of the untouched base, and a column an item, within 0 and 1. A stage
            that was not measured is a row of NaN. The items of a task are the same in all runs, in the same order.
        alone: Task -> a score an item, trained outside the sequence, where that was done.
        trained: How it was.
    """

    order: tuple[str, ...]
    seed: int
    items: Mapping[str, Float[np.ndarray, "stages items"]]
    alone: Mapping[str, Float[np.ndarray, " items"]] = field(default_factory=dict)
    trained: Trained = "alone"

    def __post_init__(self) -> None:
        for name in ("items", "alone"):
            frozen = {task: fixed(scores) for task, scores in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(frozen))
        object.__setattr__(self, "order", tuple(self.order))
        if faults := _faults(self):
            raise UnusableScores(f"{self}: {'; '.join(faults)}")
        for task, scores in self.items.items():
            check_scores(scores, partial(_item, f"'{task}' after stage"))
        for task, scores in self.alone.items():
            check_scores(scores[np.newaxis], partial(_item, f"'{task}' {self.trained}, row"))

    def __str__(self) -> str:
        return f"run of seed {self.seed} in order {', '.join(self.order)}"

    @property
    def matrix(self) -> ScoreMatrix:
        """R[t, i] of this run in its own order; means over the items."""
        return ScoreMatrix(np.stack([self.items[task].mean(axis=1) for task in self.order], axis=1), self.order)

    @property
    def ceiling(self) -> Ceiling | None:
        """What its tasks reach outside the sequence, missing for those that were not trained so; none if none was."""
        if not self.alone:
            return None
        scores = [self.alone[task].mean() if task in self.alone else np.nan for task in self.order]
        return Ceiling(np.array(scores), self.trained)


def check_runs(runs: Sequence[SequenceRun]) -> None:
    """Refuse runs that are not repetitions of each other.

    Args:
        runs: Of the same tasks, in any orders and with any seeds.

    Raises:
        UnusableScores: If there are none, they differ in tasks, items or training outside the sequence, or two have
            the same order and seed.
    """
    if not runs:
        raise UnusableScores("nothing to resample: there is no run")
    first = runs[0]
    for run in runs[1:]:
        if set(run.order) != set(first.order):
            raise UnusableScores(f"runs are of the same tasks; found {first}, and {run}")
        if run.trained != first.trained:
            raise UnusableScores(f"tasks are trained {first.trained} outside the sequence of {first}, but not of {run}")
        for task in first.order:
            counts = first.items[task].shape[1], run.items[task].shape[1]
            if counts[0] != counts[1]:
                raise UnusableScores(
                    f"'{task}' has {counts[0]} items in the {first}, {counts[1]} in the {run}; ask the same items"
                )
    if len({(run.order, run.seed) for run in runs}) != len(runs):
        raise UnusableScores(f"two runs have the same order and seed: {', '.join(f'({run})' for run in runs)}")


def _item(where: str, row: int, item: int) -> str:
    return f"item {item} of {where} {row}"


def _faults(run: SequenceRun) -> list[str]:
    """Everything that keeps a run from being used."""
    tasks = len(run.order)
    faults = []
    if not tasks or len(set(run.order)) != tasks:
        faults.append("a run needs tasks, each of them once")
    if set(run.items) != set(run.order) or not set(run.alone) <= set(run.order):
        faults.append(f"scores are those of its tasks, found {', '.join([*run.items, *run.alone]) or 'none'}")
        return faults
    for task, scores in run.items.items():
        if scores.ndim != 2 or scores.shape[0] != tasks + 1 or scores.shape[1] == 0:
            faults.append(f"'{task}' needs {tasks + 1} rows, one for the base and one a stage, found {scores.shape}")
        elif (np.isnan(scores).any(axis=1) & ~np.isnan(scores).all(axis=1)).any():
            faults.append(f"'{task}' has stages with scores of some of its items; ask all or none")
        if task in run.alone and (run.alone[task].shape != scores.shape[1:] or np.isnan(run.alone[task]).any()):
            faults.append(f"'{task}' outside the sequence needs one score an item, found {run.alone[task].shape}")
    return faults
