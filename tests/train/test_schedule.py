"""Checkpoints are log-spaced and always include the last step."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.train.schedule import log_spaced_steps


@given(st.integers(1, 10_000), st.integers(1, 20))
def test_steps_rise_to_the_last_one_and_each_is_about_half_the_next(steps: int, count: int) -> None:
    found = log_spaced_steps(steps, count)
    assert found[-1] == steps
    assert 1 <= len(found) <= count
    assert list(found) == sorted(set(found))
    assert all(1 <= a < b and abs(b - 2 * a) <= 2 for a, b in pairwise(found))


def test_one_checkpoint_is_the_last_step() -> None:
    assert log_spaced_steps(100, 1) == (100,)
