"""Limits of means against the evidence they come from, and how often they hold."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from holdfast.metrics.basin.mean_limits import mean_interval, mean_limit
from holdfast.metrics.basin.sequential import Betting


def test_limits_of_a_mean_hold_at_all_times_together() -> None:
    generator, runs, n = np.random.default_rng(7), 300, 60
    trials = generator.beta(4, 1, size=(runs, n))
    above, _ = Betting(0.8).evidence(trials)
    ever_excluded = (above >= -np.log(0.05)).any(axis=-1)
    assert ever_excluded.mean() <= 0.05
    last = np.array([mean_limit(run, 0.95) > 0.8 for run in trials[:50]])
    assert (last <= ever_excluded[:50]).all()


def test_a_limit_is_where_the_evidence_is_just_enough() -> None:
    trials = np.random.default_rng(8).beta(8, 2, size=50)
    limit = mean_limit(trials, 0.95)
    assert Betting(limit).evidence(trials)[0][-1] == pytest.approx(-log(0.05))
    low, high = mean_interval(trials, 0.95)
    assert low < limit < trials.mean() < high
    assert high == pytest.approx(1 - mean_limit(1 - trials, 0.975))


def test_nothing_is_certain_of_zeros_or_of_one_trial_of_half() -> None:
    assert mean_limit(np.zeros(9)) == 0
    assert mean_limit(np.array([0.5])) == pytest.approx(0, abs=0.01)
    assert mean_limit(np.ones(9), side="upper") == 1


def test_no_directions_have_no_limit() -> None:
    with pytest.raises(ValueError, match="at least one direction, found none"):
        mean_limit(np.array([]))
    with pytest.raises(ValueError, match="scores lie within 0 and 1"):
        mean_limit(np.array([0.2, 1.5]))
