"""What two public libraries print for the same matrix, from their formulas written anew, and where that differs."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual import ScoreMatrix
from holdfast.metrics.continual.formulas import (
    backward_transfer_gem,
    forgetting_avalanche,
    forgetting_chaudhry,
    forgetting_mammoth,
    forward_transfer_zero_shot,
)

ROWS = [(0.20, 0.10, 0.30), (0.80, 0.15, 0.28), (0.85, 0.60, 0.35), (0.75, 0.50, 0.90)]
RISING = [(0.0, 0.0), (0.6, 0.0), (0.7, 0.5)]


def mammoths_table(rows: list[tuple[float, ...]]) -> np.ndarray:
    """A row a stage without the base; a task that was not trained yet counts as 0."""
    return np.array([[score if i <= t else 0.0 for i, score in enumerate(row)] for t, row in enumerate(rows[1:])])


def mammoths_forgetting(table: np.ndarray) -> float:
    """The largest of each column, the last row included, minus the last row, over all tasks but the last."""
    return float(np.mean([max(table[:, i]) - table[-1, i] for i in range(len(table) - 1)]))


def mammoths_forward_transfer(table: np.ndarray, baseline: tuple[float, ...]) -> float:
    """The row before a task was trained minus the baseline, over all tasks but the first."""
    return float(np.mean([table[i - 1, i] - baseline[i] for i in range(1, len(table))]))


def avalanches_forgetting(rows: list[tuple[float, ...]]) -> float:
    """First recorded minus last recorded, over the tasks that were asked at least twice once they were trained."""
    first, last = {}, {}
    for t, row in enumerate(rows[1:]):
        for task in range(t + 1):
            (first if task == t else last)[task] = row[task]
    return sum(first[task] - last[task] for task in last) / len(last)


@pytest.mark.parametrize("rows", [ROWS, RISING])
def test_ours_by_that_name_is_what_each_library_prints(rows: list[tuple[float, ...]]) -> None:
    matrix = ScoreMatrix.of(rows)
    assert forgetting_mammoth(matrix) == pytest.approx(mammoths_forgetting(mammoths_table(rows)), abs=1e-12)
    assert forgetting_avalanche(matrix) == pytest.approx(avalanches_forgetting(rows), abs=1e-12)


def test_three_definitions_give_three_answers_to_what_was_forgotten() -> None:
    """One task falls from its height, one goes on rising: only two libraries see the rise, and only one the height."""
    rows = [(0, 0, 0), (0.5, 0, 0), (0.9, 0.4, 0), (0.7, 0.6, 0.5)]
    assert mammoths_forgetting(mammoths_table(rows)) == pytest.approx((0.2 + 0.0) / 2)
    assert forgetting_chaudhry(ScoreMatrix.of(rows)) == pytest.approx((0.2 - 0.2) / 2)
    assert avalanches_forgetting(rows) == pytest.approx((-0.2 - 0.2) / 2)


def test_mammoth_cannot_see_that_a_task_went_on_rising() -> None:
    """It is the last row among those searched for the largest that hides the rise, and not the zeros."""
    table = mammoths_table(RISING)
    assert mammoths_forgetting(table) == 0
    assert float(np.mean([max(table[:-1, 0]) - table[-1, 0]])) == pytest.approx(-0.1)
    assert backward_transfer_gem(ScoreMatrix.of(RISING)) == pytest.approx(0.1)


def test_padding_with_zeros_makes_forward_transfer_out_of_nothing() -> None:
    """Where future tasks were not asked, the padded table has 0 for them, and ours says that they are missing."""
    untouched, table = ROWS[0], mammoths_table(ROWS)
    assert mammoths_forward_transfer(table, untouched) == pytest.approx(-(0.10 + 0.30) / 2)
    lower = [untouched, *(tuple(s if i <= t else None for i, s in enumerate(row)) for t, row in enumerate(ROWS[1:]))]
    with pytest.raises(NotMeasurable, match=r"needs what was not measured: R.1, 2. .* R.2, 3. "):
        forward_transfer_zero_shot(ScoreMatrix.of(lower))
    assert forward_transfer_zero_shot(ScoreMatrix.of(ROWS)) == pytest.approx(0.05)


def test_padding_with_zeros_hides_a_cell_that_was_lost() -> None:
    """A trained task whose score is missing is 0 in a padded table, and its height with it."""
    table = mammoths_table(ROWS)
    assert mammoths_forgetting(table) == pytest.approx(0.10)
    table[1, 0] = 0.0
    assert mammoths_forgetting(table) == pytest.approx(0.075)
    holed = [list(row) for row in ROWS]
    holed[2][0] = None
    with pytest.raises(NotMeasurable, match=r"forgetting_mammoth needs what was not measured: R.2, 1. "):
        forgetting_mammoth(ScoreMatrix.of(holed))
