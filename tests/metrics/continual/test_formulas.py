"""Every formula against numbers worked by hand, against loops over single cells, and against the other formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual import Ceiling, ScoreMatrix
from holdfast.metrics.continual.formulas import (
    METRICS,
    anytime_accuracy,
    backward_transfer_gem,
    backward_transfer_trace_benchmark,
    final_accuracy,
    forgetting_avalanche,
    forgetting_chaudhry,
    forgetting_mammoth,
    forward_transfer_zero_shot,
    intransigence,
    learning_accuracy,
    normalised_score_mean_of_ratios,
    normalised_score_ratio_of_means,
    relative_retention,
)

ROWS = [(0.20, 0.10, 0.30), (0.80, 0.15, 0.28), (0.85, 0.60, 0.35), (0.75, 0.50, 0.90)]
ALONE = Ceiling.of((0.85, 0.65, 0.92))
RISING = [(0, 0), (0.6, 0), (0.7, 0.5)]
CROSS_TASK = [metric for metric in METRICS if metric.counted != "all"]


def by_loops(name: str, r: np.ndarray, alone: np.ndarray) -> float:
    """The definitions, a cell at a time; tasks count from 1, so that column i - 1 is task i."""
    tasks = r.shape[1]
    end, just, start = (
        [r[t(i), i - 1] for i in range(1, tasks + 1)] for t in (lambda i: tasks, lambda i: i, lambda i: 0)
    )
    ceiling = list(alone)
    if name == "anytime_accuracy":
        return sum(sum(r[t, i - 1] for i in range(1, t + 1)) / t for t in range(1, tasks + 1)) / tasks
    if name == "forward_transfer_zero_shot":
        return sum(r[i - 1, i - 1] - r[0, i - 1] for i in range(2, tasks + 1)) / (tasks - 1)
    lost = sum(just[k] - end[k] for k in range(tasks - 1))
    if name.startswith(("forgetting_c", "forgetting_m")):
        last = tasks - 1 if name == "forgetting_chaudhry" else tasks
        best = [max(r[t, i - 1] for t in range(i, last + 1)) for i in range(1, tasks)]
        return sum(high - low for high, low in zip(best, end[:-1], strict=True)) / (tasks - 1)
    return {
        "final_accuracy": lambda: sum(end) / tasks,
        "learning_accuracy": lambda: sum(just) / tasks,
        "backward_transfer_gem": lambda: -lost / (tasks - 1),
        "backward_transfer_trace_benchmark": lambda: -lost / tasks,
        "forgetting_avalanche": lambda: lost / (tasks - 1),
        "relative_retention": lambda: sum(e / j for e, j in zip(end, just, strict=True)) / tasks,
        "intransigence": lambda: sum(c - j for c, j in zip(ceiling, just, strict=True)) / tasks,
        "normalised_score_mean_of_ratios": lambda: (
            sum((e - s) / (c - s) for e, s, c in zip(end, start, ceiling, strict=True)) / tasks
        ),
        "normalised_score_ratio_of_means": lambda: (sum(end) - sum(start)) / (sum(ceiling) - sum(start)),
    }[name]()


@st.composite
def matrices(draw: st.DrawFn, least: int = 2) -> ScoreMatrix:
    tasks = draw(st.integers(least, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # A coarse lattice, so that ties and zeros come up.
    return ScoreMatrix.of(rng.integers(0, 9, (tasks + 1, tasks)) / 8)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (final_accuracy, 0.716667),
        (anytime_accuracy, 0.747222),
        (backward_transfer_gem, -0.075),
        (backward_transfer_trace_benchmark, -0.05),
        (forgetting_chaudhry, 0.10),
        (forgetting_mammoth, 0.10),
        (forgetting_avalanche, 0.075),
        (forward_transfer_zero_shot, 0.05),
        (learning_accuracy, 0.766667),
        (intransigence, 0.04),
        (relative_retention, 0.923611),
        (normalised_score_mean_of_ratios, 0.847056),
        (normalised_score_ratio_of_means, 1.55 / 1.82),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_three_tasks_worked_by_hand(metric, expected: float) -> None:
    assert metric(ScoreMatrix.of(ROWS), alone=ALONE) == pytest.approx(expected, abs=1e-6)


def test_terms_are_the_numbers_whose_mean_it_is() -> None:
    matrix = ScoreMatrix.of(ROWS)
    assert relative_retention.terms_of(matrix) == pytest.approx([0.9375, 0.833333, 1.0], abs=1e-6)
    shares = normalised_score_mean_of_ratios.terms_of(matrix, alone=ALONE)
    assert shares == pytest.approx([0.846154, 0.727273, 0.967742], abs=1e-6)
    assert anytime_accuracy.terms_of(matrix) == pytest.approx([0.8, 0.725, 0.716667], abs=1e-6)


def test_a_task_that_went_on_rising_is_forgotten_differently_by_each_definition() -> None:
    rising = ScoreMatrix.of(RISING)
    assert forgetting_chaudhry(rising) == pytest.approx(-0.10, abs=1e-6)
    assert forgetting_mammoth(rising) == 0
    assert forgetting_avalanche(rising) == pytest.approx(-0.10, abs=1e-6)
    assert backward_transfer_gem(rising) == pytest.approx(0.10, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@given(matrix=matrices(), seed=st.integers(0, 9))
def test_every_formula_agrees_with_a_loop_over_cells(metric, matrix: ScoreMatrix, seed: int) -> None:
    scores = np.clip(matrix.scores, 1 / 16, 1)
    alone = np.random.default_rng(seed).uniform(0, 1, matrix.tasks)
    found = metric(ScoreMatrix.of(scores), alone=Ceiling.of(alone))
    assert found == pytest.approx(by_loops(metric.name, scores, alone), rel=1e-9, abs=1e-12)


@given(matrices())
def test_the_definitions_stand_to_each_other_as_they_must(matrix: ScoreMatrix) -> None:
    backward = backward_transfer_gem(matrix)
    assert forgetting_avalanche(matrix) == pytest.approx(-backward, abs=1e-12)
    share = (matrix.tasks - 1) / matrix.tasks
    assert backward_transfer_trace_benchmark(matrix) == pytest.approx(share * backward, abs=1e-12)
    assert forgetting_mammoth(matrix) >= 0
    assert forgetting_mammoth(matrix) >= forgetting_chaudhry(matrix)
    assert forgetting_chaudhry(matrix) >= forgetting_avalanche(matrix) - 1e-12


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_a_metric_needs_exactly_the_cells_that_change_it(metric, tasks: int) -> None:
    if tasks == 1 and metric in CROSS_TASK:
        return
    scores = np.random.default_rng(tasks).uniform(0.1, 0.9, (tasks + 1, tasks))
    alone = np.full(tasks, 0.95)
    for stage, column in np.ndindex(scores.shape):
        holed = scores.copy()
        holed[stage, column] = np.nan
        breaks = np.isnan(metric.terms(metric.view(holed, alone))).any()
        assert metric.needed(tasks)[stage, column] == breaks, (stage, column)


@pytest.mark.parametrize("metric", CROSS_TASK, ids=lambda metric: metric.name)
def test_one_task_cannot_be_compared_with_others(metric) -> None:
    with pytest.raises(NotMeasurable, match=f"^undefined: {metric.name} compares tasks with each other, and there is"):
        metric(ScoreMatrix.of([[0.1], [0.9]]), alone=Ceiling.of([0.9]))


def test_one_task_has_all_other_numbers() -> None:
    matrix, alone = ScoreMatrix.of([[0.1], [0.9]]), Ceiling.of([0.5])
    found = {metric.name: metric(matrix, alone=alone) for metric in METRICS if metric not in CROSS_TASK}
    assert found == pytest.approx(
        {
            "final_accuracy": 0.9,
            "anytime_accuracy": 0.9,
            "learning_accuracy": 0.9,
            "relative_retention": 1.0,
            "intransigence": -0.4,
            "normalised_score_mean_of_ratios": 2.0,
            "normalised_score_ratio_of_means": 2.0,
        }
    )


def test_a_future_task_that_was_not_measured_disables_forward_transfer_only() -> None:
    rows = np.array(ROWS)
    rows[1, 2] = rows[1, 1] = rows[2, 2] = np.nan
    found = {metric: metric.needed(3) & np.isnan(rows) for metric in METRICS}
    assert [metric for metric, holes in found.items() if holes.any()] == [forward_transfer_zero_shot]
    for metric in METRICS:
        if metric is not forward_transfer_zero_shot:
            assert metric(ScoreMatrix.of(rows), alone=ALONE) == metric(ScoreMatrix.of(ROWS), alone=ALONE)


def test_the_last_score_of_the_last_task_is_no_part_of_backward_transfer() -> None:
    rows = [[0.2, 0.1], [0.8, 0.1], [0.7, None]]
    assert backward_transfer_gem(ScoreMatrix.of(rows)) == pytest.approx(-0.1)


def test_names_and_percent_change_no_number() -> None:
    plain = ScoreMatrix.of(ROWS)
    other = ScoreMatrix.of([[100 * score for score in row] for row in ROWS], names=["z", "y", "x"], percent=True)
    for metric in METRICS:
        assert metric(other, alone=ALONE) == pytest.approx(metric(plain, alone=ALONE), abs=1e-12)
