"""Scores of every task after every stage of a sequence, keyed by the order of training and never by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.tradeoff import UnusableScores

Rows = Sequence[Sequence[float | None]] | Float[np.ndarray, "stages tasks"]
Trained = Literal["alone", "jointly"]

MOST_NAMED: Final = 6
"""So many cells at most are named in a message; the rest is counted."""


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """Scores of T tasks, in training order, on the untouched base and after each of the T stages; higher is better.

    Row 0 is the untouched base, row t what there is after training task t; column i - 1 is task i. A cell that was not
    measured is missing, which is never the same as 0.

    Attributes:
        scores: Within 0 and 1; NaN where missing.
        names: What the tasks are called, in training order. They appear in messages alone.
    """

    scores: Float[np.ndarray, "stages tasks"]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", fixed(self.scores))
        _check_shape(self.scores)
        _check_names(self.names, self.tasks)
        check_scores(self.scores, self.cell)

    @classmethod
    def of(cls, rows: Rows, *, names: Sequence[str] | None = None, percent: bool = False) -> Self:
        """A matrix from rows of numbers.

        Args:
            rows: T + 1 rows of T scores, the first of the untouched base; ``None`` or NaN where missing.
            names: Of the tasks, in training order; by default ``task 1`` and so on.
            percent: Whether scores are given from 0 to 100. That is never guessed.

        Returns:
            The matrix, from 0 to 1.

        Raises:
            UnusableScores: If the shape is another, a score lies outside its range, or two tasks share a name.
        """
        scores = numbers(rows)
        _check_shape(scores)
        called = tuple(names) if names is not None else tuple(f"task {i + 1}" for i in range(scores.shape[1]))
        return cls(scaled(scores, percent), called)

    @property
    def tasks(self) -> int:
        """T, the number of tasks and of stages after the base."""
        return int(self.scores.shape[1])

    def cell(self, stage: int, task: int) -> str:
        """How a cell is spoken of; the task is counted from 1."""
        where = "on the untouched base" if stage == 0 else f"after stage {stage}"
        return f"R[{stage}, {task}] ('{self.names[task - 1]}' {where})"

    def at(self, stage: int, task: int) -> float:
        """One score.

        Args:
            stage: From 0, the untouched base, to T.
            task: From 1 to T.

        Returns:
            The score, from 0 to 1.

        Raises:
            NotMeasurable: If it is missing.
            ValueError: If there is no such cell.
        """
        if not (0 <= stage <= self.tasks and 1 <= task <= self.tasks):
            raise ValueError(f"stages run from 0 to {self.tasks} and tasks from 1, found stage {stage}, task {task}")
        score = float(self.scores[stage, task - 1])
        if np.isnan(score):
            raise NotMeasurable(f"undefined: {self.cell(stage, task)} is missing")
        return score

    def missing(self, needed: Bool[np.ndarray, "stages tasks"]) -> list[str]:
        """The cells among those needed that were not measured, as they are spoken of."""
        found = np.argwhere(needed & np.isnan(self.scores))
        return [self.cell(int(stage), int(column) + 1) for stage, column in found]


@dataclass(frozen=True, eq=False)
class Ceiling:
    """What each task reaches outside the sequence, I_i.

    Attributes:
        scores: One a task, in training order, within 0 and 1; NaN where missing.
        trained: ``alone`` if each task was trained by itself from the base, ``jointly`` if all were trained at once.
    """

    scores: Float[np.ndarray, " tasks"]
    trained: Trained = "alone"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", fixed(self.scores))
        if self.scores.ndim != 1:
            raise UnusableScores(f"scores of tasks trained {self.trained} are one a task, found {self.scores.shape}")
        check_scores(self.scores[np.newaxis], lambda _, task: f"the score of task {task} trained {self.trained}")

    @classmethod
    def of(cls, scores: Sequence[float | None], *, trained: Trained = "alone", percent: bool = False) -> Self:
        """The same from numbers.

        Args:
            scores: One a task, in training order; ``None`` or NaN where missing.
            trained: How.
            percent: Whether scores are given from 0 to 100.

        Returns:
            The ceiling, from 0 to 1.

        Raises:
            UnusableScores: If a score lies outside its range.
        """
        return cls(scaled(numbers(scores), percent), trained)

    def missing(self, names: Sequence[str]) -> list[str]:
        """The tasks without a score, as they are spoken of."""
        return [
            f"'{name}' trained {self.trained}"
            for name, lacks in zip(names, np.isnan(self.scores), strict=True)
            if lacks
        ]


def numbers(given: Sequence[object] | np.ndarray) -> np.ndarray:
    """Numbers as an array, with NaN in place of ``None``.

    Raises:
        UnusableScores: If rows differ in length or something is no number.
    """
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UnusableScores(f"scores are numbers or missing, in rows of equal length: {error}") from error


def scaled(scores: np.ndarray, percent: bool) -> np.ndarray:
    """Scores from 0 to 1.

    Raises:
        UnusableScores: If they are said to be percent and lie outside 0 to 100.
    """
    if not percent:
        return scores
    if found := outside(scores, 100):
        raise UnusableScores(f"with percent, scores lie within 0 and 100, found {found[0]:g}")
    shrunk: np.ndarray = scores / 100
    return shrunk


def outside(scores: np.ndarray, most: float) -> list[float]:
    """The scores that are neither missing nor within 0 and the most."""
    return [float(score) for score in scores[~np.isnan(scores) & ~((scores >= 0) & (scores <= most))]]


def check_scores(scores: Float[np.ndarray, "stages tasks"], spoken: Callable[[int, int], str]) -> None:
    """Refuse scores outside 0 to 1, asking whether they are percent where they may be.

    Args:
        scores: NaN where missing.
        spoken: What to call the cell of a stage and of a task counted from 1.

    Raises:
        UnusableScores: If there are any.
    """
    found = np.argwhere(~np.isnan(scores) & ~((scores >= 0) & (scores <= 1)))
    if not found.size:
        return
    stage, column = (int(place) for place in found[0])
    advice = "" if outside(scores, 100) else ": are they percent? say percent=True, or --percent on the command line"
    raise UnusableScores(
        f"{spoken(stage, column + 1)} is {scores[stage, column]:g}, and scores lie within 0 and 1{advice}"
    )


def listed(cells: Sequence[str]) -> str:
    """The first few of many, and how many more there are."""
    more = len(cells) - MOST_NAMED
    return ", ".join(cells[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def fixed(values: ArrayLike) -> np.ndarray:
    """A copy that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _check_shape(scores: np.ndarray) -> None:
    if scores.ndim == 2 and scores.shape[1] > 0 and scores.shape[0] == scores.shape[1] + 1:
        return
    hint = ""
    if scores.ndim == 2 and scores.shape[0] == scores.shape[1] > 0:
        hint = "; if the base was not measured, begin with a row of missing scores"
    raise UnusableScores(
        f"a matrix of scores has a column a task and one row more than columns, the first for the untouched base; "
        f"found shape {scores.shape}{hint}"
    )


def _check_names(names: tuple[str, ...], tasks: int) -> None:
    if len(names) != tasks:
        raise UnusableScores(f"{tasks} tasks need {tasks} names, found {len(names)}: {', '.join(names) or 'none'}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        at = [str(number) for number, name in enumerate(names, start=1) if name == twice[0]]
        raise UnusableScores(f"tasks need different names, and '{twice[0]}' is that of tasks {' and '.join(at)}")
