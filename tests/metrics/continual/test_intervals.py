"""Intervals of sequences say what they cover, and hold the truth of simulated ones as often as is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sequences import LOGITS, simulated, truth

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual import resampling
from holdfast.metrics.continual.formulas import (
    METRICS,
    backward_transfer_gem,
    final_accuracy,
    forgetting_chaudhry,
    forgetting_mammoth,
    forward_transfer_zero_shot,
    relative_retention,
)
from holdfast.metrics.continual.intervals import continual_intervals, sequence_interval
from holdfast.metrics.continual.metric import Metric
from holdfast.metrics.continual.resampling import resample_runs
from holdfast.metrics.continual.runs import SequenceRun


def covered(metric: Metric, repetitions: int, items: int, logits: np.ndarray = LOGITS, **design: float) -> int:
    """In how many simulated studies the interval held the truth."""
    rng, right = np.random.default_rng(5), truth(metric, logits)
    held = 0
    for number in range(repetitions):
        draws = resample_runs(simulated(rng, items, logits=logits, **design), 300, seed=number)
        low, high = sequence_interval(draws, metric).spread
        held += low <= right <= high
    return held


def plausible(held: int, of: int, level: float = 0.95) -> bool:
    """Whether intervals of that level hold the truth so often, with a false alarm in a thousand simulations."""
    return bool(stats.binomtest(held, of, level).pvalue > 0.001)


def test_estimates_are_means_over_runs_each_in_its_own_order() -> None:
    runs = simulated(np.random.default_rng(2), 30, orders=3, seeds=2)
    estimate, _, covers = sequence_interval(resample_runs(runs, 50), backward_transfer_gem)
    assert estimate == pytest.approx(np.mean([backward_transfer_gem(run.matrix) for run in runs]))
    assert covers == ("items", "orders", "seeds")


@pytest.mark.parametrize(
    ("kept", "covers"),
    [
        (slice(1), ("items",)),
        (slice(2), ("items", "seeds")),
        (slice(0, None, 2), ("items", "orders")),
        (slice(5), ("items", "runs")),
    ],
)
def test_an_interval_says_what_it_covers(kept: slice, covers: tuple[str, ...]) -> None:
    runs = simulated(np.random.default_rng(3), 10, orders=3, seeds=2)[kept]
    assert sequence_interval(resample_runs(runs, 20), final_accuracy).covers == covers


def test_a_resample_without_any_right_answer_leaves_no_interval_of_a_ratio() -> None:
    rare = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=float)
    run = SequenceRun(("a", "b", "c"), 0, dict.fromkeys("abc", rare))
    with pytest.raises(NotMeasurable, match=r"divides by the score just after training, which is 0 in \d+ of 500 resa"):
        resample_runs([run], 500).draws(relative_retention)
    records = {record.quantity: record for record in continual_intervals([run], resamples=500)}
    assert (records["relative_retention"].value, records["relative_retention"].spread) == (pytest.approx(4 / 3), None)
    assert records["intransigence_alone"].value is None
    assert "trained alone or jointly; run of seed 0" in records["intransigence_alone"].reason


def test_every_metric_has_a_record_with_its_interval() -> None:
    runs = simulated(np.random.default_rng(6), 40, orders=2, seeds=2)
    records = continual_intervals(runs, resamples=200, subject="lora")
    assert [record.quantity for record in records] == [metric.named(runs[0].ceiling) for metric in METRICS]
    assert all(record.subject == "lora" and record.spread is not None for record in records)
    wide, narrow = (continual_intervals(runs, resamples=200, level=level)[0].spread for level in (0.99, 0.5))
    assert wide[0] < narrow[0] < records[0].value < narrow[1] < wide[1]


def test_intervals_over_items_hold_the_truth_as_often_as_they_say() -> None:
    assert plausible(covered(backward_transfer_gem, 150, items=60), 150)


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric",
    [final_accuracy, backward_transfer_gem, forgetting_chaudhry, forward_transfer_zero_shot, relative_retention],
    ids=lambda metric: metric.name,
)
def test_intervals_over_items_hold_the_truth_of_every_kind_of_metric(metric: Metric) -> None:
    assert plausible(covered(metric, 500, items=100), 500)


@pytest.mark.slow
def test_intervals_over_orders_and_seeds_are_wide_without_their_noise_and_too_narrow_with_three_that_differ() -> None:
    without = covered(backward_transfer_gem, 200, items=100, orders=3, seeds=3)
    three = covered(backward_transfer_gem, 200, items=200, orders=3, seeds=3, order=0.08)
    six = covered(backward_transfer_gem, 200, items=200, orders=6, seeds=3, order=0.08, seed=0.03, run=0.03)
    assert without >= 190
    assert 155 <= three <= 188
    assert three < six
    assert 175 <= six <= 198


@pytest.mark.slow
def test_orders_drawn_apart_beat_runs_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = covered(backward_transfer_gem, 200, items=200, orders=3, seeds=3, order=0.08)
    monkeypatch.setattr(resampling, "_levels", lambda runs: {"runs": np.eye(len(runs))})
    assert covered(backward_transfer_gem, 200, items=200, orders=3, seeds=3, order=0.08) < apart - 20


@pytest.mark.slow
def test_the_best_of_equal_stages_is_no_fair_measure_of_forgetting() -> None:
    """Nothing is forgotten in six tasks: backward transfer says so, and both maxima see some forgetting too often."""
    flat = np.where(np.arange(7)[:, np.newaxis] > np.arange(6), 1, -2)
    assert plausible(covered(backward_transfer_gem, 200, items=100, logits=flat), 200)
    assert 130 < covered(forgetting_chaudhry, 200, items=100, logits=flat) < 180
    assert covered(forgetting_mammoth, 200, items=100, logits=flat) < 60
