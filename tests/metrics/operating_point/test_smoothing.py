"""Smoothing is a straight line through three neighbours, which on an even grid is their mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.metrics.operating_point.smoothing import WIDEST, three_point_rows

grids = st.lists(st.integers(1, 99), min_size=1, max_size=8, unique=True).map(
    lambda inner: [0.0, *(x / 100 for x in sorted(inner)), 1.0]
)


def test_on_an_even_grid_it_is_the_mean_of_three() -> None:
    rows = three_point_rows(np.linspace(0, 1, 11))
    assert rows[2] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, *[0] * 7])
    assert rows[10] == pytest.approx([*[0] * 8, -1 / 6, 2 / 6, 5 / 6])
    assert rows[0].tolist() == [1, *[0] * 10]


def test_points_far_from_their_neighbours_stay_as_they_are() -> None:
    assert three_point_rows([0, 0.25, 0.5, 0.75, 1]).tolist() == np.eye(5).tolist()
    rows = three_point_rows([0, 0.25, 0.5, 0.75, 0.8, 0.85, 1])
    assert [rows[i].tolist() == np.eye(7)[i].tolist() for i in range(7)] == [True] * 4 + [False] * 3


@given(grids)
def test_it_agrees_with_a_fit_of_a_line(t: list[float]) -> None:
    values = np.random.default_rng(0).random(len(t))
    smoothed = three_point_rows(t) @ values
    for i in range(1, len(t)):
        near = [i - 1, i, i + 1] if i + 1 < len(t) else [i - 2, i - 1, i]
        if t[near[-1]] - t[near[0]] > WIDEST:
            assert smoothed[i] == values[i]
            continue
        slope, height = np.polyfit([t[j] for j in near], values[near], 1)
        assert smoothed[i] == pytest.approx(slope * t[i] + height)
    assert smoothed[0] == values[0]


@given(grids)
def test_a_line_stays_a_line(t: list[float]) -> None:
    line = 0.3 + 2 * np.array(t)
    assert three_point_rows(t) @ line == pytest.approx(line)


def test_two_points_stay_as_they_are() -> None:
    assert three_point_rows([0, 1]).tolist() == [[1, 0], [0, 1]]
