"""The parts of a matrix of scores that formulas speak of, for one matrix or for thousands of resamples at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

Counted = Literal["all", "earlier", "later"]
"""Over which tasks a formula goes: all of them, all but the last, or all but the first."""

Part = Literal["final", "learnt", "base", "before", "seen"]
"""Parts of the matrix, named as the properties of a view; ``seen`` is what was trained by then, row by row."""

PerTask = Float[np.ndarray, "*draws counted"]


@dataclass(frozen=True, eq=False)
class View:
    """Scores as a formula sees them, of the tasks that it goes over.

    Attributes:
        scores: Any number of matrices; rows are stages from the base on, columns tasks in training order.
        alone: Any number of rows of scores outside the sequence; of size 0 for formulas that do not ask for it.
        counted: Numbers of the tasks that the formula goes over, from 1.
    """

    scores: Float[np.ndarray, "*draws stages tasks"]
    alone: Float[np.ndarray, "*draws tasks"]
    counted: Int[np.ndarray, " counted"]

    @property
    def tasks(self) -> int:
        """T, whichever of them are counted."""
        return int(self.scores.shape[-1])

    @property
    def final(self) -> PerTask:
        """R[T, i], at the end."""
        return self.scores[..., -1, self.counted - 1]

    @property
    def learnt(self) -> PerTask:
        """R[i, i], just after the task was trained."""
        return self.scores[..., self.counted, self.counted - 1]

    @property
    def base(self) -> PerTask:
        """R[0, i], on the untouched base."""
        return self.scores[..., 0, self.counted - 1]

    @property
    def before(self) -> PerTask:
        """R[i - 1, i], just before the task was trained."""
        return self.scores[..., self.counted - 1, self.counted - 1]

    @property
    def ceiling(self) -> PerTask:
        """I_i, outside the sequence."""
        return self.alone[..., self.counted - 1]

    def best(self, until: int) -> PerTask:
        """The largest R[t, i] from the stage that trained the task to another, both included."""
        best = [self.scores[..., task : until + 1, task - 1].max(axis=-1) for task in self.counted]
        return np.stack(best, axis=-1)


def counted_tasks(counted: Counted, tasks: int) -> Int[np.ndarray, " counted"]:
    """Numbers of the tasks a formula goes over, from 1."""
    first, last = {"all": (1, tasks), "earlier": (1, tasks - 1), "later": (2, tasks)}[counted]
    return np.arange(first, last + 1)


def cells(part: Part, counted: Int[np.ndarray, " counted"], tasks: int) -> Bool[np.ndarray, "stages tasks"]:
    """Which cells of a matrix of so many tasks make up a part of it."""
    stage, task = np.arange(tasks + 1)[:, np.newaxis], np.arange(1, tasks + 1)
    wanted = {
        "final": stage == tasks,
        "learnt": stage == task,
        "base": stage == 0,
        "before": stage == task - 1,
        "seen": stage >= task,
    }[part]
    found: Bool[np.ndarray, "stages tasks"] = wanted & np.isin(task, counted)
    return found
