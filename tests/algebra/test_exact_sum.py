"""Sums that do not depend on order."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra import exact_sum as sums
from holdfast.algebra.exact_sum import exact_sum, sum_of

numbers = st.lists(st.floats(0, width=32, allow_infinity=False, allow_nan=False, allow_subnormal=True))


@given(numbers)
def test_the_sum_is_that_of_fractions(values: list[float]) -> None:
    assert sum_of(exact_sum(torch.tensor(values, dtype=torch.float32))) == sum(map(Fraction, values))


@given(numbers, st.integers(0, 100))
def test_parts_add_up_to_the_whole(values: list[float], cut: int) -> None:
    whole = torch.tensor(values, dtype=torch.float32)
    parts = exact_sum(whole[:cut]) + exact_sum(whole[cut:])
    assert sum_of(parts) == sum_of(exact_sum(whole))


def test_full_stretches_of_the_largest_digits_are_added_without_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    value = torch.tensor(2.0**30 - 64).item()
    assert sum_of(exact_sum(torch.full((200_001,), value))) == 200_001 * Fraction(value)
    monkeypatch.setattr(sums, "_TOGETHER", 7)
    assert sum_of(exact_sum(torch.full((101,), value))) == 101 * Fraction(value)


def test_half_precision_is_added_as_it_is() -> None:
    values = torch.rand(1000).bfloat16()
    assert sum_of(exact_sum(values)) == sum(map(Fraction, values.tolist()))
