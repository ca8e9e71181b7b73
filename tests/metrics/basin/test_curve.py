"""Curves against numbers worked out by hand, widths read off a grid, rises and design effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from holdfast.core.basin import BasinCurve
from holdfast.metrics.basin.curve import curve, design_effect, rises, width_on_grid
from holdfast.metrics.basin.evaluations import Evaluations


def planted(sigma: float, seed: int, items: Sequence[int]) -> list[float]:
    """Direction 0 loses one of four items from sigma 2 on, direction 1 from sigma 1 on, and all are lost at 4."""
    lost = 4 if sigma >= 4 else int(sigma >= (2 if seed == 0 else 1)) if sigma else 0
    return [float(item >= lost) for item in items]


def test_a_curve_has_the_numbers_worked_out_by_hand() -> None:
    found = curve(Evaluations(planted, 4), [4, 1, 0.5, 2], [0, 1], tolerance=0.25, share=0.6, ability="logic")
    assert (found.base, found.self_noise, found.items) == (1.0, 0.0, 4)
    assert [level.sigma for level in found.levels] == [0.5, 1, 2, 4]
    assert [level.scores for level in found.levels] == [(1, 1), (1, 0.75), (0.75, 0.75), (0, 0)]
    assert [level.mean for level in found.levels] == [1, 0.875, 0.75, 0]
    assert [level.strict_share for level in found.levels] == [1, 0.5, 0, 0]
    assert found.levels[1].band == pytest.approx((0.7625, 0.9875))
    low, high = found.levels[1].spread or (0, 0)
    assert low < 0.875 < high
    assert found.soft_width.value == pytest.approx(2.0)
    assert found.strict_width.value == pytest.approx(0.5 * 2 ** (0.4 / 0.5))
    assert (found.soft_width.subject, found.soft_width.site) == ("random", "logic")
    assert BasinCurve.model_validate_json(found.model_dump_json()) == found


def test_a_margin_lets_a_strict_direction_lose_an_item() -> None:
    found = curve(Evaluations(planted, 4), [2], [0, 1], margin=0.25, ask_again=False)
    assert found.levels[0].strict_share == 1
    assert found.self_noise is None


def test_a_single_direction_has_no_band() -> None:
    level = curve(Evaluations(planted, 4), [1], [1]).levels[0]
    assert (level.band, level.spread, level.design_effect) == (None, None, None)


def test_widths_lie_between_grid_points_in_the_logarithm() -> None:
    assert width_on_grid([1, 4], np.array([0, 0.1]), 0.05).value == pytest.approx(2)
    assert width_on_grid([1, 2, 4], np.array([0, 0.05, 0.1]), 0.05).value == pytest.approx(2)


def test_a_width_ends_at_the_first_distance_beyond_even_if_later_ones_are_not() -> None:
    assert width_on_grid([1, 4, 16, 64], np.array([0, 0.1, 0, 0.9]), 0.05).value == pytest.approx(2)


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([0.0, 0.01], r"wider than the grid: the loss is within 0\.05 up to sigma 4; go further out"),
        ([0.2, 0.3], r"narrower than the grid: the loss is beyond 0\.05 at sigma 1; start further in"),
    ],
)
def test_a_width_beyond_the_grid_is_a_reason(losses: list[float], reason: str) -> None:
    found = width_on_grid([1, 4], np.array(losses), 0.05)
    assert found.value is None
    assert found.reason is not None
    assert np.char.startswith(found.reason, reason.replace("\\", ""))


def test_a_rise_beyond_noise_is_told_and_noise_is_not() -> None:
    generator = np.random.default_rng(0)
    noisy = 0.8 + 0.02 * generator.standard_normal((6, 16))
    assert rises(range(1, 7), noisy) == []
    noisy[3:] += 0.1
    assert rises(range(1, 7), noisy) == [(3, 4)]
    assert rises([1, 2], np.array([[0.5, 0.5], [0.6, 0.6]])) == [(1, 2)]
    assert rises([1, 2], np.array([[0.6, 0.6], [0.5, 0.5]])) == []
    assert rises([1, 2], np.array([[0.5], [0.6]])) == []


def test_rises_of_flat_curves_are_called_no_more_often_than_stated() -> None:
    generator = np.random.default_rng(1)
    false = sum(bool(rises(range(6), generator.normal(0.5, 0.1, (6, 16)))) for _ in range(300))
    assert false / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_the_design_effect_is_1_for_independent_items_and_their_number_for_equal_ones() -> None:
    generator = np.random.default_rng(2)
    apart = (generator.random((3000, 10)) < 0.6).astype(float)
    assert design_effect(apart) == pytest.approx(1, abs=0.1)
    assert design_effect(np.repeat(apart[:, :1], 10, axis=1)) == pytest.approx(10)
    assert design_effect(np.ones((4, 3))) is None
    assert design_effect(apart[:1]) is None


@pytest.mark.parametrize(
    ("sigmas", "seeds", "message"),
    [
        ([1.0], [], "needs distances and directions, found 1 and 0"),
        ([], [1], "found 0 and 1"),
        ([1.0, 1.0], [1], "every distance and every direction once"),
        ([0.0], [1], "greater than 0"),
        ([-1.0], [1], "a finite number above 0, found -1"),
    ],
)
def test_curves_that_are_none_are_refused(sigmas: list[float], seeds: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curve(Evaluations(planted, 4), sigmas, seeds)
