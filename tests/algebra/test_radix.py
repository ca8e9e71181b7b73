"""The value of a rank, against a sort."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.radix import ranked
from holdfast.algebra.ranks import ALONE

values = st.floats(0, allow_nan=False, allow_subnormal=True)


@given(st.lists(values, min_size=1), st.data())
def test_it_is_what_a_sort_finds(held: list[float], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(held)))
    wanted = sorted((abs(value) for value in held), reverse=True)[rank - 1]
    assert ranked(torch.tensor(held, dtype=torch.float64).abs(), rank, ALONE) == wanted


def test_neighbouring_numbers_are_told_apart() -> None:
    bits = torch.tensor(0.3, dtype=torch.float64).view(torch.int64) + torch.arange(100)
    held = bits.view(torch.float64)
    assert [ranked(held.flip(0), rank, ALONE) for rank in range(1, 101)] == held.flip(0).tolist()
