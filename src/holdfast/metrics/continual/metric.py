"""One continual-learning number: its formula, the cells that it needs, and why it is undefined where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual.matrix import Ceiling, ScoreMatrix, listed
from holdfast.metrics.continual.view import Counted, Part, PerTask, View, cells, counted_tasks
from holdfast.metrics.interval import ROUNDING

Values = Float[np.ndarray, "*draws"]
NOTHING: Final = np.empty(0)


@dataclass(frozen=True)
class Metric:
    """A number of a sequence; call it with a matrix.

    Attributes:
        name: Says which definition it is.
        definition: The same in a few words, for people.
        formula: In the notation of R[t, i], stage and task in training order.
        needs: Parts of the matrix that it is made of.
        counted: Tasks over which it goes.
        terms: From the parts to the numbers whose mean it is, for any number of matrices at once.
        over: What is divided by, a number a task or one for all, if anything that may be 0.
        over_spoken: How that is spoken of.
        needs_ceiling: Whether it needs scores of the tasks outside the sequence.
    """

    name: str
    definition: str
    formula: str
    needs: tuple[Part, ...]
    counted: Counted
    terms: Callable[[View], PerTask]
    over: Callable[[View], PerTask] | None = None
    over_spoken: str = ""
    needs_ceiling: bool = False

    def __call__(self, matrix: ScoreMatrix, *, alone: Ceiling | None = None) -> float:
        """The number.

        Args:
            matrix: Of scores.
            alone: What each task reaches outside the sequence; only some metrics ask for it.

        Returns:
            The number, as a fraction: 0.1 is ten points of percent.

        Raises:
            NotMeasurable: If it is not defined; says which cells are missing or what is divided by 0.
        """
        return float(np.mean(self.terms_of(matrix, alone=alone)))

    def terms_of(self, matrix: ScoreMatrix, *, alone: Ceiling | None = None) -> Float[np.ndarray, " terms"]:
        """The numbers whose mean it is: one a task, or one a stage for `anytime_accuracy`, or the number itself.

        Args:
            matrix: Of scores.
            alone: What each task reaches outside the sequence.

        Returns:
            The terms, in training order.

        Raises:
            NotMeasurable: If one of them is not defined.
        """
        self.check(matrix, alone)
        return self.terms(self.view(matrix.scores, NOTHING if alone is None else alone.scores))

    def named(self, alone: Ceiling | None) -> str:
        """The name with how the tasks were trained outside the sequence, for metrics that ask for it."""
        return f"{self.name}_{'alone' if alone is None else alone.trained}" if self.needs_ceiling else self.name

    def needed(self, tasks: int) -> Bool[np.ndarray, "stages tasks"]:
        """The cells without which it is not defined."""
        counted = counted_tasks(self.counted, tasks)
        found: Bool[np.ndarray, "stages tasks"] = np.any([cells(part, counted, tasks) for part in self.needs], axis=0)
        return found

    def view(self, scores: Float[np.ndarray, "*draws stages tasks"], alone: Float[np.ndarray, "*draws tasks"]) -> View:
        """What its formula sees."""
        return View(scores, alone, counted_tasks(self.counted, scores.shape[-1]))

    def divides_by_zero(self, view: View) -> Bool[np.ndarray, "*draws counted"]:
        """Where the formula would divide by 0."""
        over = np.ones((*view.scores.shape[:-2], 1)) if self.over is None else self.over(view)
        found: Bool[np.ndarray, "*draws counted"] = np.abs(over) <= ROUNDING
        return found

    def check(self, matrix: ScoreMatrix, alone: Ceiling | None) -> None:
        """Refuse what the number cannot be computed from.

        Raises:
            NotMeasurable: Says what is too few, missing, or 0.
        """
        if self.counted != "all" and matrix.tasks < 2:
            raise NotMeasurable(f"undefined: {self.name} compares tasks with each other, and there is only one")
        absent = matrix.missing(self.needed(matrix.tasks))
        if self.needs_ceiling:
            absent += self._missing_ceiling(matrix, alone)
        if absent:
            raise NotMeasurable(f"undefined: {self.name} needs what was not measured: {listed(absent)}")
        view = self.view(matrix.scores, NOTHING if alone is None else alone.scores)
        zero = self.divides_by_zero(view)
        if zero.any():
            # A number a task is spoken of with the tasks, one for all of them without.
            tasks = [f"'{matrix.names[task - 1]}'" for task in view.counted[zero]] if zero.size > 1 else []
            which = f" for {listed(tasks)}" if tasks else ""
            raise NotMeasurable(f"undefined: {self.name} divides by {self.over_spoken}, which is 0{which}")

    def _missing_ceiling(self, matrix: ScoreMatrix, alone: Ceiling | None) -> list[str]:
        if alone is None:
            return ["scores of the tasks trained alone or jointly"]
        if alone.scores.size != matrix.tasks:
            raise NotMeasurable(
                f"undefined: {self.name} needs one score a task trained {alone.trained}, "
                f"and there are {alone.scores.size} for {matrix.tasks} tasks"
            )
        return alone.missing(matrix.names)
