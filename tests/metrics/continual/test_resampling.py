"""Resamples of items and runs against a loop over them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sequences import simulated

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual import ScoreMatrix, resampling
from holdfast.metrics.continual.formulas import (
    METRICS,
    backward_transfer_gem,
    final_accuracy,
    forgetting_chaudhry,
    forward_transfer_zero_shot,
    intransigence,
)
from holdfast.metrics.continual.matrix import Ceiling
from holdfast.metrics.continual.metric import Metric
from holdfast.metrics.continual.resampling import resample_runs
from holdfast.metrics.continual.runs import SequenceRun


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize(("orders", "seeds", "kept"), [(1, 1, 1), (2, 3, 6), (3, 1, 3), (1, 2, 2), (2, 3, 5)])
def test_every_draw_agrees_with_a_loop_over_resamples(metric: Metric, orders: int, seeds: int, kept: int) -> None:
    runs, count = simulated(np.random.default_rng(1), 20, orders, seeds, seed=0.05)[:kept], 6
    found = resample_runs(runs, count, seed=7)
    picks = {task: resampling._generator(7, "items", task).integers(20, size=(count, 20)) for task in "abc"}
    for draw, value in enumerate(found.draws(metric)):
        by_run = {}
        for run in runs:
            rows = np.array([run.items[task][:, picks[task][draw]].mean(axis=1) for task in run.order]).T
            alone = Ceiling.of([run.alone[task][picks[task][draw]].mean() for task in run.order])
            by_run[run.order, run.seed] = metric(ScoreMatrix.of(rows), alone=alone)
        mean = np.mean(list(by_run.values()))
        expected = mean
        for source in found.sources:
            place = {"orders": slice(0, 1), "seeds": slice(1, 2), "runs": slice(2)}[source.name]
            levels = list(dict.fromkeys(key[place] for key in by_run))
            of_level = [np.mean([v for key, v in by_run.items() if key[place] == level]) for level in levels]
            drawn = np.average(of_level, weights=source.drawn_frac[draw])
            expected += np.sqrt(len(levels) / (len(levels) - 1)) * (drawn - mean)
        assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("design", [(4, 1), (1, 4)])
def test_the_variance_over_runs_is_that_of_their_mean(design: tuple[int, int]) -> None:
    """Items all alike leave nothing but runs to vary; the plain bootstrap would give three quarters of this."""
    ends, orders = (0.1, 0.3, 0.4, 0.6), [*permutations("abc")][: design[0]]
    places = [(order, seed) for order in orders for seed in range(design[1])]
    rows = {end: np.array([[0.5] * 5, [0.8] * 5, [0.8] * 5, [end] * 5]) for end in ends}
    runs = [SequenceRun(*place, dict.fromkeys("abc", rows[end])) for place, end in zip(places, ends, strict=True)]
    draws = resample_runs(runs, 20_000).draws(final_accuracy)
    assert draws.mean() == pytest.approx(0.35, abs=0.005)
    assert draws.var() == pytest.approx(np.var(ends, ddof=1) / 4, rel=0.05)


def test_the_same_items_are_drawn_for_all_stages_and_methods() -> None:
    run, other = (simulated(np.random.default_rng(seed), 25)[0] for seed in (1, 2))
    still = SequenceRun(run.order, 0, {task: np.tile(scores[-1], (4, 1)) for task, scores in run.items.items()})
    assert resample_runs([still], 50).draws(backward_transfer_gem) == pytest.approx(np.zeros(50), abs=1e-12)
    one, two = (resample_runs([of], 50, seed=3).draws(final_accuracy) for of in (run, other))
    both = {task: (run.items[task] + other.items[task]) / 2 for task in "abc"}
    mean = resample_runs([SequenceRun(run.order, 0, both)], 50, seed=3).draws(final_accuracy)
    assert mean == pytest.approx((one + two) / 2, abs=1e-12)


def test_draws_do_not_depend_on_how_many_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = simulated(np.random.default_rng(4), 30, seeds=2)
    whole = resample_runs(runs, 41).draws(forgetting_chaudhry)
    monkeypatch.setattr(resampling, "CELLS_AT_ONCE", 100)
    assert np.array_equal(resample_runs(runs, 41).draws(forgetting_chaudhry), whole)


def test_a_stage_that_was_not_measured_stays_missing() -> None:
    (run,) = simulated(np.random.default_rng(5), 10)
    items = {task: scores.copy() for task, scores in run.items.items()}
    items["b"][1] = np.nan
    draws = resample_runs([SequenceRun(run.order, 8, items)], 20)
    with pytest.raises(NotMeasurable) as told:
        draws.draws(forward_transfer_zero_shot)
    assert str(told.value) == (
        "undefined: forward_transfer_zero_shot needs what was not measured: R[1, 2] ('b' after stage 1); "
        "run of seed 8 in order a, b, c"
    )
    assert np.isfinite(draws.draws(backward_transfer_gem)).all()
    with pytest.raises(NotMeasurable, match="trained alone or jointly"):
        draws.draws(intransigence)


def test_draws_are_repeatable_and_at_least_one() -> None:
    runs = simulated(np.random.default_rng(7), 10, seeds=2)
    one, again, other = (resample_runs(runs, 30, seed=seed).draws(final_accuracy) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    with pytest.raises(ValueError, match="at least one resample is needed, asked for 0"):
        resample_runs(runs, 0)
