"""A matrix of scores is keyed by the order of training, and refuses what is no such matrix."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual import Ceiling, ScoreMatrix
from holdfast.metrics.tradeoff import UnusableScores

SMALL = [[0.1, 0.2], [0.5, None], [0.4, 0.6]]


def test_stages_count_from_the_base_and_tasks_from_1() -> None:
    matrix = ScoreMatrix.of(SMALL)
    assert (matrix.tasks, matrix.at(0, 1), matrix.at(2, 2)) == (2, 0.1, 0.6)
    assert matrix.names == ("task 1", "task 2")


def test_none_and_nan_are_both_missing() -> None:
    assert np.array_equal(ScoreMatrix.of(SMALL).scores, ScoreMatrix.of(np.array(SMALL, float)).scores, equal_nan=True)
    with pytest.raises(NotMeasurable, match=r"^undefined: R\[1, 2\] \('b' after stage 1\) is missing$"):
        ScoreMatrix.of(SMALL, names=["a", "b"]).at(1, 2)


@pytest.mark.parametrize(("stage", "task"), [(-1, 1), (3, 1), (0, 0), (0, 3)])
def test_there_is_no_cell_outside(stage: int, task: int) -> None:
    with pytest.raises(ValueError, match="stages run from 0 to 2 and tasks from 1, found stage"):
        ScoreMatrix.of(SMALL).at(stage, task)


def test_what_was_given_is_copied_and_fixed() -> None:
    given = np.zeros((2, 1))
    matrix = ScoreMatrix.of(given)
    given[0, 0] = 1
    assert matrix.at(0, 1) == 0
    with pytest.raises(ValueError, match="read-only"):
        matrix.scores[0, 0] = 1


@pytest.mark.parametrize("rows", [[], [[]], [[0.1, 0.2]], [0.1, 0.2], np.zeros((3, 3, 2)), np.zeros((5, 3))])
def test_another_shape_is_refused(rows) -> None:
    with pytest.raises(
        UnusableScores, match="a column a task and one row more than columns, the first for the untouch"
    ):
        ScoreMatrix.of(rows)


def test_a_square_matrix_lacks_the_base() -> None:
    with pytest.raises(UnusableScores, match=r"shape \(2, 2\); if the base was not measured, begin with a row of miss"):
        ScoreMatrix.of([[0.5, 0.1], [0.4, 0.6]])


def test_ragged_rows_and_words_are_refused() -> None:
    for rows in ([[0.1, 0.2], [0.5]], [["a"], ["b"]]):
        with pytest.raises(UnusableScores, match="scores are numbers or missing, in rows of equal length"):
            ScoreMatrix.of(rows)


def test_scores_above_1_are_taken_for_percent_only_when_that_is_said() -> None:
    rows = [[10, 20], [50, 30], [40, 60]]
    with pytest.raises(UnusableScores) as told:
        ScoreMatrix.of(rows, names=["a", "b"])
    assert str(told.value) == (
        "R[0, 1] ('a' on the untouched base) is 10, and scores lie within 0 and 1: are they percent? say percent=True, "
        "or --percent on the command line"
    )
    assert ScoreMatrix.of(rows, percent=True).at(2, 2) == 0.6
    assert ScoreMatrix.of(SMALL, percent=True).at(0, 1) == pytest.approx(0.001)


@pytest.mark.parametrize("score", [-0.1, 101, np.inf, -np.inf])
def test_scores_that_are_no_percent_either_are_not_asked_about(score: float) -> None:
    with pytest.raises(UnusableScores, match=r"scores lie within 0 and 1$"):
        ScoreMatrix.of([[0.1], [score]])
    with pytest.raises(UnusableScores, match="with percent, scores lie within 0 and 100, found"):
        ScoreMatrix.of([[0.1], [score]], percent=True)


def test_names_are_one_a_task_and_different() -> None:
    with pytest.raises(UnusableScores, match=r"^tasks need different names, and 'b' is that of tasks 1 and 3$"):
        ScoreMatrix.of(np.zeros((4, 3)), names=["b", "a", "b"])
    with pytest.raises(UnusableScores, match=r"^2 tasks need 2 names, found 1: a$"):
        ScoreMatrix.of(SMALL, names=["a"])


def test_scores_outside_the_sequence_are_held_to_the_same() -> None:
    assert Ceiling.of([85, None], percent=True).scores[0] == 0.85
    with pytest.raises(UnusableScores, match=r"^the score of task 2 trained jointly is 85, .* are they percent"):
        Ceiling.of([0.5, 85], trained="jointly")
    with pytest.raises(UnusableScores, match="are one a task, found"):
        Ceiling.of([[0.5]])
