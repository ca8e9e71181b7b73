"""Batches hold every row once, within their bounds, with little padding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.batches import buckets


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 7), st.integers(1, 100))
def test_buckets_hold_every_row_once_longest_first_and_within_bounds(
    lengths: list[int], max_rows: int, max_tokens: int
) -> None:
    batches = list(buckets(lengths, max_rows=max_rows, max_tokens=max_tokens))
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[index] for index in order] == sorted(lengths, reverse=True)
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) <= max_rows
        assert len(batch) == 1 or longest * len(batch) <= max_tokens
        assert batch is batches[-1] or len(batch) == max_rows or longest * (len(batch) + 1) > max_tokens


def test_rows_of_one_length_stay_in_order() -> None:
    assert list(buckets([4, 9, 4, 9, 4], max_rows=2, max_tokens=18)) == [[1, 3], [0, 2], [4]]
