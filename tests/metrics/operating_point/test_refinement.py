"""A search along a path looks where the choice is open, ends, and finds what a fine grid finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from curves import candidates, lattice_curves, level_curve, noisy_curve
from hypothesis import given, settings

from holdfast.metrics.operating_point.candidates import Candidate, Curve
from holdfast.metrics.operating_point.choice import choose
from holdfast.metrics.operating_point.refinement import next_point
from holdfast.metrics.operating_point.rules import KeepGain, KlBudget, LoseAtMost, OneStandardError, Rule

COARSE = (0.0, 0.25, 0.5, 0.75, 1.0)


def searched(score: Callable[[float], list[Candidate]], rule: Rule, budget: int = 16) -> list[float]:
    """All t of a search, in the order in which they were asked for."""
    asked = list(COARSE)
    while (t := next_point([score(each)[0] for each in asked], rule, budget=budget)) is not None:
        assert t not in asked
        asked.append(t)
    return asked


def smooth(t: float) -> list[Candidate]:
    return candidates(level_curve([min(t / 0.4, 1)], 9), [t], kept={"logic": level_curve([1 - t], 9)}, kl_nats=[t**2])


@pytest.mark.parametrize(
    ("rule", "answer"), [(OneStandardError(), 0.4), (LoseAtMost(0.3), 0.3), (KlBudget(0.1), 0.1**0.5)]
)
def test_the_search_closes_in_on_the_answer_with_few_evaluations(rule: Rule, answer: float) -> None:
    asked = searched(smooth, rule)
    found = choose([smooth(t)[0] for t in asked], rule, resamples=1)
    assert found.candidate.t == pytest.approx(answer, abs=0.05)
    assert len(asked) <= 11


def test_the_widest_gap_beside_the_choice_comes_first_and_then_the_safer() -> None:
    assert next_point(candidates(level_curve([0, 0.5, 1, 2], 3), [0, 0.2, 0.5, 1]), KeepGain(0.2)) == 0.35
    assert next_point(candidates(level_curve([0, 1, 3], 3)), KeepGain(0.2)) == 0.25


def test_a_gap_whose_ends_cannot_be_told_apart_is_left_alone() -> None:
    assert next_point(candidates(level_curve([1, 1, 1], 3))) is None
    assert next_point(candidates(level_curve([0, 1, 1], 3))) == 0.25


def test_a_gap_within_the_resolution_is_settled() -> None:
    points = candidates(level_curve([0, 0, 1, 1], 3), [0, 0.4, 0.5, 1])
    assert next_point(points) == pytest.approx(0.45)
    assert next_point(points, resolution_frac=0.11) is None


def test_width_is_measured_in_steps_and_halved_in_t() -> None:
    points = candidates(level_curve([0, 1, 1], 3), [0, 0.5, 1], steps=[0, 0.04, 1])
    assert next_point(points) is None
    assert next_point(points, resolution_frac=0.03) == 0.25


def test_the_budget_counts_all_points() -> None:
    points = candidates(level_curve([0, 0, 1, 1], 3))
    assert next_point(points, budget=4) is None
    assert next_point(points, budget=5) == 0.5
    assert len(searched(smooth, OneStandardError(), budget=7)) == 7


def test_at_the_ends_there_is_one_neighbour() -> None:
    assert next_point(candidates(level_curve([0, 1], 3))) == 0.5
    assert next_point(candidates(level_curve([1, 0], 3))) == 0.5


@settings(max_examples=40)
@given(lattice_curves())
def test_the_next_point_is_new_and_beside_the_choice(tables: dict[str, np.ndarray]) -> None:
    points = candidates(tables["target"], kept={"logic": tables["logic"]})
    t = next_point(points, budget=99)
    places = [each.t for each in points]
    if t is not None:
        chosen = OneStandardError().pick(Curve.through(points))
        assert places[max(0, chosen - 1)] < t < places[min(len(places) - 1, chosen + 1)]
        assert t not in places


def test_a_noisy_search_ends_and_costs_less_than_a_fine_grid() -> None:
    rng = np.random.default_rng(6)
    grid = np.linspace(0, 1, 65)
    for _ in range(20):
        table = noisy_curve(0.3 * np.minimum(grid / 0.4, 1), 200, rng, shared=0.8)

        def score(t: float, table: np.ndarray = table) -> list[Candidate]:
            return candidates(table[[round(64 * t)]], [t])

        assert len(searched(score, OneStandardError(), budget=65)) <= 12


def test_halving_has_an_end() -> None:
    with pytest.raises(ValueError, match=r"a resolution is a relative step above 0, such as 0\.05, found 0"):
        next_point(candidates(level_curve([0, 1], 3)), resolution_frac=0)
