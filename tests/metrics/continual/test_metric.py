"""A number that is not defined says why: what is missing, or what would be divided by 0."""

from __future__ import annotations

import re

import numpy as np
import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual import Ceiling, ScoreMatrix
from holdfast.metrics.continual.formulas import (
    METRICS,
    final_accuracy,
    forward_transfer_zero_shot,
    intransigence,
    normalised_score_mean_of_ratios,
    normalised_score_ratio_of_means,
    relative_retention,
)


def test_names_and_formulas_are_all_different() -> None:
    assert len({metric.name for metric in METRICS}) == len({metric.formula for metric in METRICS}) == len(METRICS)


def test_missing_cells_are_named() -> None:
    matrix = ScoreMatrix.of([[None, 0.1], [0.5, None], [0.4, 0.6]], names=["sums", "facts"])
    with pytest.raises(NotMeasurable) as told:
        forward_transfer_zero_shot(matrix)
    assert str(told.value) == (
        "undefined: forward_transfer_zero_shot needs what was not measured: R[1, 2] ('facts' after stage 1)"
    )


def test_of_many_missing_cells_some_are_named_and_the_rest_is_counted() -> None:
    matrix = ScoreMatrix.of(np.full((10, 9), np.nan))
    with pytest.raises(NotMeasurable, match=re.escape("R[9, 6] ('task 6' after stage 9) and 3 more")):
        final_accuracy(matrix)


def test_a_missing_score_is_not_0() -> None:
    with pytest.raises(NotMeasurable):
        final_accuracy(ScoreMatrix.of([[0, 0], [1, 0], [1, None]]))


def test_a_task_that_was_not_learnt_at_all_has_nothing_to_retain() -> None:
    matrix = ScoreMatrix.of([[0, 0, 0], [0, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]], names=["a", "b", "c"])
    with pytest.raises(NotMeasurable) as told:
        relative_retention(matrix)
    assert str(told.value) == (
        "undefined: relative_retention divides by the score just after training, which is 0 for 'a', 'c'"
    )


def test_a_task_that_training_alone_does_not_improve_has_no_normalised_score() -> None:
    matrix = ScoreMatrix.of([[0.5, 0.1], [0.6, 0.1], [0.6, 0.9]], names=["a", "b"])
    alone = Ceiling.of([0.5, 0.9])
    with pytest.raises(NotMeasurable, match="divides by the gain on the base outside the sequence, which is 0 for 'a'"):
        normalised_score_mean_of_ratios(matrix, alone=alone)
    assert normalised_score_ratio_of_means(matrix, alone=alone) == pytest.approx(0.9 / 0.8)


def test_gains_that_cancel_have_no_ratio_of_means() -> None:
    matrix = ScoreMatrix.of([[0.5, 0.5], [0.6, 0.1], [0.6, 0.9]])
    with pytest.raises(NotMeasurable, match=r"the mean gain on the base outside the sequence, which is 0$"):
        normalised_score_ratio_of_means(matrix, alone=Ceiling.of([0.3, 0.7]))


def test_scores_outside_the_sequence_are_needed_where_they_are() -> None:
    matrix = ScoreMatrix.of([[0, 0], [0.5, 0], [0.5, 0.5]], names=["a", "b"])
    with pytest.raises(NotMeasurable, match=r"not measured: scores of the tasks trained alone or jointly$"):
        intransigence(matrix)
    with pytest.raises(NotMeasurable, match=r"not measured: 'b' trained jointly$"):
        intransigence(matrix, alone=Ceiling.of([0.5, None], trained="jointly"))
    with pytest.raises(NotMeasurable, match="one score a task trained alone, and there are 1 for 2 tasks"):
        intransigence(matrix, alone=Ceiling.of([0.5]))


def test_the_name_says_how_tasks_were_trained_outside_the_sequence() -> None:
    assert intransigence.named(None) == "intransigence_alone"
    assert intransigence.named(Ceiling.of([0.5], trained="jointly")) == "intransigence_jointly"
    assert final_accuracy.named(Ceiling.of([0.5])) == "final_accuracy"
