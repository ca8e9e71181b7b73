"""Flags as bits and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.packing import STRETCH, pack, places, popcount, stretch, unpack

flags = st.lists(st.booleans(), max_size=200)


@given(flags)
def test_the_first_flag_is_the_lowest_bit_and_missing_ones_are_0(chosen: list[bool]) -> None:
    wanted = [0] * (-(-len(chosen) // 8))
    for place, flag in enumerate(chosen):
        wanted[place // 8] |= flag << place % 8
    assert pack(torch.tensor(chosen, dtype=torch.bool)).tolist() == wanted


@given(flags, st.integers(0, 9))
def test_flags_come_back_wherever_they_start_in_memory(chosen: list[bool], offset: int) -> None:
    held = torch.tensor([True] * offset + chosen, dtype=torch.bool)[offset:]
    packed = pack(held)
    assert unpack(packed).tolist() == chosen + [False] * (-len(chosen) % 8)
    assert places(packed).tolist() == [place for place, flag in enumerate(chosen) if flag]
    assert popcount(packed) == sum(chosen)


@pytest.mark.parametrize("offset", range(9))
def test_bits_are_counted_wherever_they_start_in_memory(offset: int) -> None:
    packed = torch.arange(1000).to(torch.uint8)[offset:]
    assert popcount(packed) == sum(byte.bit_count() for byte in packed.tolist())


def test_all_bits_of_a_word_are_counted() -> None:
    assert popcount(torch.full((24,), 255, dtype=torch.uint8)) == 192


def test_every_other_flag_is_packed_as_if_it_stood_alone() -> None:
    chosen = torch.rand(101) < 0.5
    assert torch.equal(pack(chosen[::2]), pack(chosen[::2].clone()))


def test_stretches_end_with_a_word_and_are_longer_on_a_gpu() -> None:
    assert stretch(torch.device("cpu")) == STRETCH < stretch(torch.device("cuda"))
    assert STRETCH % 64 == stretch(torch.device("cuda")) % 64 == 0
