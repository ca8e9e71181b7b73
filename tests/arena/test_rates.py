"""Rates are spaced evenly in ratio and chosen by validation alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.arena.rates import Judged, choose, judged, next_rate, rates_around
from holdfast.core.scores import PointScores, TaskScores


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


def point(**tasks: list[float]) -> PointScores:
    scores = []
    for task, values in tasks.items():
        ids, weights = tuple(map(str, range(len(values)))), (1.0,) * len(values)
        scores.append(
            TaskScores(task=task, ask="generate", unit="frac", ids=ids, values=tuple(values), weights=weights)
        )
    return PointScores(split="validation", tasks=tuple(scores))


def test_a_sequence_is_judged_by_what_it_knew_after_every_stage() -> None:
    base = point(one=[0, 0], two=[0, 0, 0], kept=[1, 1])
    first = point(one=[1, 1], two=[1, 1, 1], kept=[1, 1])
    last = point(one=[0, 1], two=[1, 0, 0], kept=[0, 1])
    found = judged([first, last], [("one",), ("two",)], base, ("kept",))
    # The slow twin: a mean over stages of means over the tasks learned by then, of which "two" is none after the first.
    assert found.mean == pytest.approx(np.mean([1.0, np.mean([0.5, 1 / 3])]))
    assert found.kept == pytest.approx(-0.5), "abilities count at the end"
    assert found.target.tolist() == pytest.approx([2 / 3, 1.0, 1.0, 0.0, 0.0]), "an item is one observation"
    alone = judged([last], [("one", "two")], base, ("kept",))
    assert alone.mean == pytest.approx(np.mean([0.5, 1 / 3])), "a single stage is judged as a comparison is"


def test_who_learns_nothing_is_not_taken_for_who_forgets_it_again() -> None:
    """In the end neither knows anything but the last task a little: the average there cannot tell them apart."""
    base = point(one=[0] * 20, two=[0] * 20, kept=[1] * 20)
    end = point(one=[0] * 20, two=[0.1] * 20, kept=[0.1] * 20)
    stages = {
        1e-3: [point(one=[1] * 20, two=[0] * 20, kept=[0.2] * 20), end],
        1e-5: [base, point(one=[0] * 20, two=[0.1] * 20, kept=[1] * 20)],
    }
    throughout = {rate: judged(both, [("one",), ("two",)], base, ("kept",)) for rate, both in stages.items()}
    at_the_end = {rate: judged(both[1:], [("one", "two")], base, ("kept",)) for rate, both in stages.items()}
    assert choose(at_the_end, "one_standard_error") == 1e-5
    assert choose(throughout, "one_standard_error") == 1e-3
