"""Rates are spaced evenly in ratio and chosen by validation alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.arena.rates import Judged, choose, next_rate, rates_around


def seen(target: list[float], kept: float = 0.0) -> Judged:
    return Judged(np.array(target), np.ones(len(target)), kept)


@given(st.floats(1e-6, 1.0), st.integers(1, 9), st.floats(1.5, 10.0))
def test_rates_rise_in_equal_ratios_around_the_centre(centre: float, tries: int, spacing: float) -> None:
    rates = rates_around(centre, tries, spacing)
    assert len(rates) == tries
    assert rates[tries // 2] == pytest.approx(centre, rel=0.05)
    assert all(b / a == pytest.approx(spacing, rel=0.1) for a, b in pairwise(rates))


def test_target_takes_the_best_score() -> None:
    tried = {1e-4: seen([0, 0, 1, 1], 0.0), 1e-3: seen([1, 1, 1, 1], -0.9)}
    assert choose(tried, "target") == 1e-3


def test_one_standard_error_takes_what_keeps_most_among_those_that_cannot_be_told_apart() -> None:
    best = [1.0] * 99 + [0.0]
    near = [1.0] * 98 + [0.0, 1.0]
    tried = {1e-4: seen([0.0] * 100, 0.0), 1e-3: seen(near, -0.1), 1e-2: seen(best, -0.8)}
    assert choose(tried, "one_standard_error") == 1e-3


def test_one_standard_error_does_not_give_up_a_clear_lead() -> None:
    tried = {1e-4: seen([0.0] * 50 + [1.0] * 50, 0.0), 1e-3: seen([1.0] * 100, -0.8)}
    assert choose(tried, "one_standard_error") == 1e-3


def test_a_tie_goes_to_the_lower_rate() -> None:
    tried = {1e-3: seen([1, 1], -0.5), 1e-4: seen([1, 1], -0.5)}
    assert choose(tried, "one_standard_error") == choose(tried, "target") == 1e-4


def test_failed_rates_are_never_chosen() -> None:
    assert choose({1e-3: None, 1e-2: None}, "one_standard_error") is None
    assert choose({1e-3: seen([0, 0]), 1e-2: None}, "target") == 1e-3


def test_items_weigh_as_they_should_in_the_standard_error() -> None:
    heavy = Judged(np.array([1.0, 0.0]), np.array([9.0, 1.0]), 0.0)
    light = Judged(np.array([0.0, 1.0]), np.array([9.0, 1.0]), 0.5)
    assert heavy.mean == pytest.approx(0.9)
    assert choose({1e-3: heavy, 1e-4: light}, "target") == 1e-3


def test_the_search_goes_on_only_where_the_best_lies_at_an_end() -> None:
    tried = {1e-4: seen([0, 0]), 1e-3: seen([1, 1]), 1e-2: seen([0, 0])}
    assert next_rate(tried, 1e-3, 3.0) is None
    assert next_rate(tried, 1e-2, 3.0) == 0.03
    assert next_rate(tried, 1e-4, 3.0) == pytest.approx(3.3e-5)
