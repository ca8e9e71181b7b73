"""Replay mixes the share of source examples that it says, drawn by the seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.methods.replay import Replay

TARGET = [Example(f"t/{i}", f"{i}?", f" {i}") for i in range(90)]
SOURCE = [Example(f"s/{i}", f"{i}!", f" {i}") for i in range(30)]


def source_ids(rows: list[Example]) -> list[str]:
    return [row.id for row in rows if row.id.startswith("s/")]


@settings(max_examples=40)
@given(st.floats(0.0, 0.95), st.integers(0, 5))
def test_the_share_is_exact_to_rounding_and_no_target_example_is_left_out(share: float, seed: int) -> None:
    rows = Replay(share=share).mixed(TARGET, SOURCE, seed)
    known = source_ids(rows)
    assert abs(len(known) - share * len(rows)) <= 0.5 + 1e-9
    assert sorted(row.id for row in rows if row.id.startswith("t/")) == sorted(row.id for row in TARGET)


def test_examples_come_again_only_when_all_have_been_taken() -> None:
    counts = Counter(source_ids(Replay(share=0.5).mixed(TARGET, SOURCE, 1)))
    assert set(counts.values()) == {3} and len(counts) == 30
    assert max(Counter(source_ids(Replay(share=0.1).mixed(TARGET, SOURCE, 1))).values()) == 1


def test_the_seed_draws_which_examples_and_in_which_order() -> None:
    one, again, other = (Replay().mixed(TARGET, SOURCE, seed) for seed in (1, 1, 2))
    assert one == again
    assert set(source_ids(one)) != set(source_ids(other))
    assert source_ids(one) and one[: len(TARGET)] != TARGET


def test_without_a_share_the_examples_are_left_as_they_are() -> None:
    assert Replay(share=0.0).mixed(TARGET, [], 1) == TARGET


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(BadData, match=r"^replay mixes in examples of what the model already knows, and there are none"):
        Replay().mixed(TARGET, [], 1)
