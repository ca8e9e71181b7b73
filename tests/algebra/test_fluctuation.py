"""Fluctuation is the mean departure from a moving average; relative to its mean it forgets the size of the update."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.fluctuation import fluctuation, relative_fluctuation
from holdfast.core.errors import NotMeasurable

curves = st.lists(st.floats(0.01, 10), min_size=5, max_size=20)


def by_hand(points: list[float]) -> float:
    """Point by point, the ends mirrored without repeating the last one."""
    last, departures = len(points) - 1, []
    for index, point in enumerate(points):
        window = [abs(place) for place in range(index - 2, index + 3)]
        window = [2 * last - place if place > last else place for place in window]
        departures.append(abs(point - sum(points[place] for place in window) / 5))
    return sum(departures) / len(departures)


@given(curves)
def test_it_is_what_a_loop_finds(points: list[float]) -> None:
    curve = torch.tensor(points, dtype=torch.float64)
    assert fluctuation(curve) == pytest.approx(by_hand(points), rel=1e-12, abs=1e-14)
    assert relative_fluctuation(curve) == pytest.approx(
        by_hand(points) / (sum(points) / len(points)), rel=1e-12, abs=1e-14
    )


def test_ends_are_mirrored_about_the_last_point() -> None:
    # 2 1 | 0 1 2 3 9 | 3 2: averages 1.2 1.4 3 3.6 3.8.
    departures = [1.2, 0.4, 1.0, 0.6, 5.2]
    assert fluctuation(torch.tensor([0.0, 1.0, 2.0, 3.0, 9.0])) == pytest.approx(sum(departures) / 5)


@given(curves, st.sampled_from([1e-30, 1e-3, 0.1, 7.0, 1e6]))
def test_it_grows_with_the_update_and_the_relative_one_does_not(points: list[float], scale: float) -> None:
    curve = torch.tensor(points, dtype=torch.float64)
    assert fluctuation(scale * curve) == pytest.approx(scale * fluctuation(curve), rel=1e-9, abs=scale * 1e-14)
    assert relative_fluctuation(scale * curve) == pytest.approx(relative_fluctuation(curve), rel=1e-9, abs=1e-12)


def test_a_level_profile_does_not_fluctuate() -> None:
    assert fluctuation(torch.full((9,), 0.25)) == 0
    assert relative_fluctuation(torch.full((9,), 0.25)) == 0


def test_it_is_worked_out_in_float64() -> None:
    # In float32 the moving averages of this curve are rounded by more than it departs from them.
    curve = 1000 + 1e-4 * torch.arange(9.0).square()
    assert fluctuation(curve) == pytest.approx(by_hand(curve.double().tolist()), rel=1e-9)


@pytest.mark.parametrize("points", [0, 1, 4])
def test_fewer_points_than_the_window_are_refused(points: int) -> None:
    for measure in (fluctuation, relative_fluctuation):
        with pytest.raises(NotMeasurable) as caught:
            measure(torch.ones(points))
        assert str(caught.value) == f"fluctuation of a profile of {points} points: the moving average takes 5"


def test_a_profile_of_zeros_fluctuates_by_0_and_relative_to_nothing() -> None:
    assert fluctuation(torch.zeros(8)) == 0
    with pytest.raises(NotMeasurable) as caught:
        relative_fluctuation(torch.zeros(8))
    assert str(caught.value) == (
        "relative fluctuation of a profile that is 0 throughout is undefined: was the update zero?"
    )
