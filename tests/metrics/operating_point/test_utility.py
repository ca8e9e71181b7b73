"""Paired standard errors against textbook formulas, and what cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest
from curves import curve, level_curve
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.operating_point.utility import best, safest


def test_the_error_is_the_textbooks_where_items_weigh_alike() -> None:
    table = np.random.default_rng(0).normal(size=(3, 20))
    difference, error = curve(table).gain.lead(1, 2)
    assert difference == pytest.approx((table[1] - table[2]).mean())
    assert error == pytest.approx(stats.sem(table[1] - table[2]))


def test_the_error_is_the_jackknifes_where_weights_differ_little() -> None:
    rng = np.random.default_rng(1)
    table, weights = rng.normal(size=(2, 400)), rng.integers(90, 110, 400)
    differences = table[1] - table[0]
    without = [np.average(np.delete(differences, i), weights=np.delete(weights, i)) for i in range(400)]
    jackknife = np.sqrt(399 / 400 * ((without - np.mean(without)) ** 2).sum())
    assert curve(table, weights=weights).gain.lead(1, 0)[1] == pytest.approx(jackknife, rel=0.01)


def test_errors_of_independent_tasks_add_up_in_squares() -> None:
    rng = np.random.default_rng(2)
    logic, recall = rng.random((2, 30)), rng.random((2, 17))
    found = curve(rng.random((2, 5)), kept={"logic": logic, "recall": recall}).forgetting
    expected = np.hypot(stats.sem(logic[1] - logic[0]), stats.sem(recall[1] - recall[0])) / 2
    assert found.lead(1, 0)[1] == pytest.approx(expected)
    assert found.times(-3).lead(1, 0) == pytest.approx((-3 * found.values[1], 3 * expected))


@given(st.integers(2, 300))
def test_one_item_that_alone_differs_is_one_standard_error_and_no_more(items: int) -> None:
    table = np.zeros((2, items))
    table[1, items // 2] = 1
    gain = curve(table).gain
    assert gain.lead(1, 0) == pytest.approx((1 / items, 1 / items))
    assert gain.not_worse(0, 1)
    assert not gain.apart(0, 1)


def test_two_items_of_many_are_more_than_one_standard_error() -> None:
    table = np.zeros((2, 100))
    table[1, :2] = 1
    gain = curve(table).gain
    assert gain.not_worse(1, 0)
    assert not gain.not_worse(0, 1)
    assert gain.apart(0, 1)
    assert gain.apart(1, 0)


def test_a_single_item_has_no_standard_error() -> None:
    with pytest.raises(NotMeasurable) as caught:
        curve([[0.0], [1.0]]).gain.lead(1, 0)
    assert str(caught.value) == ("undefined: a standard error over items needs at least two, and (target) has 1")


def test_the_best_of_equal_points_is_the_first_that_is_named() -> None:
    gain = curve(level_curve([0, 0.3, 0.1 + 0.2, 0.1])).gain
    assert best(gain, [0, 1, 2, 3]) == 1
    assert best(gain, [3, 2, 1, 0]) == 2
    assert best(gain, [0, 3]) == 3


def test_the_safest_is_the_smallest_step_within_the_noise_of_the_chosen() -> None:
    table = np.zeros((4, 10))
    table[1, :5], table[2, :8], table[3, :9] = 1, 1, 1
    gain = curve(table).gain
    assert safest(gain, 3, [0, 1, 2, 3]) == 2
    assert safest(gain, 2, [0, 1, 2, 3]) == 2
    assert safest(gain, 3, [0, 3]) == 3


def test_a_mix_of_points_mixes_their_items() -> None:
    table = np.random.default_rng(3).random((2, 6))
    mixed = curve(table).gain.mixed(np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert mixed.values == pytest.approx([0, (table[1] - table[0]).mean() / 2])
    assert mixed.lead(1, 0)[1] == pytest.approx(stats.sem(table[1] - table[0]) / 2)


def test_graded_answers_that_do_not_differ_may_still_do_so_elsewhere() -> None:
    # Wilson's interval of 0 of n ends at z^2 / (n + z^2).
    width = curve(np.ones((2, 400))).gain.half_width(1, 0, 1.96)
    assert width == pytest.approx(stats.binomtest(0, 400).proportion_ci(method="wilson").high, rel=0.02)
    assert curve(np.ones((2, 400)), unit="nats/token").gain.half_width(1, 0, 1.96) == 0


@pytest.mark.parametrize("lost", [1, 4, 20, 60])
def test_the_interval_of_answers_lost_reaches_as_far_as_wilsons(lost: int) -> None:
    kept = np.ones((2, 400))
    kept[1, :lost] = 0
    forgetting = curve(np.zeros((2, 2)), kept={"logic": kept}).forgetting
    high = forgetting.values[1] + forgetting.half_width(1, 0, 1.959964)
    wilson = stats.binomtest(lost, 400).proportion_ci(method="wilson").high
    assert wilson <= high <= 1.1 * wilson


def test_the_interval_of_a_mean_over_tasks_widens_less_than_that_of_one() -> None:
    kept = {"logic": np.ones((2, 100)), "recall": np.ones((2, 100))}
    both = curve(np.zeros((2, 2)), kept=kept).forgetting.half_width(1, 0, 2.0)
    assert both == pytest.approx(4 * (1 / 4 + 1 / 4) / 100)


def test_texts_have_the_plain_interval() -> None:
    table = np.random.default_rng(4).normal(size=(2, 30))
    gain = curve(table, unit="nats/token").gain
    assert gain.half_width(1, 0, 1.5) == pytest.approx(1.5 * stats.sem(table[1] - table[0]))
