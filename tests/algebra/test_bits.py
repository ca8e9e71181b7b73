"""Which scalars of one tensor are meant, against flags and sets."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from holdfast.algebra import bits as bits_of_a_tensor
from holdfast.algebra.bits import Bits

SHAPES = [(), (0,), (1,), (7,), (8,), (9,), (3, 5), (8, 8), (2, 3, 4), (0, 4), (70, 33)]


@pytest.fixture(autouse=True)
def stretches_of_64(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small tensors have many."""
    monkeypatch.setattr(bits_of_a_tensor, "STRETCH", 64)


def flags(shape: tuple[int, ...], share: float = 0.4) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape))) < share


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 1.0])
def test_flags_positions_and_counts_come_back(shape: tuple[int, ...], share: float) -> None:
    chosen = flags(shape, share)
    bits = Bits.of(chosen)
    assert torch.equal(bits.dense(), chosen)
    assert bits.positions().tolist() == [place for place, flag in enumerate(chosen.reshape(-1).tolist()) if flag]
    assert bits.count() == int(chosen.sum())
    assert (bits.size, bits.shape) == (chosen.numel(), shape)
    assert bits.packed.dtype == torch.uint8 and len(bits.packed) == -(-chosen.numel() // 8)
    assert Bits.at(bits.positions(), shape) == bits


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_joined_as_flags_are(shape: tuple[int, ...]) -> None:
    one, other = flags(shape), flags(shape, 0.7) ^ flags(shape)
    a, b = Bits.of(one), Bits.of(other)
    assert (a & b) == Bits.of(one & other)
    assert (a | b) == Bits.of(one | other)
    assert ~a == Bits.of(~one)
    assert (~a).count() == a.size - a.count()
    assert Bits.all(shape) == ~Bits.none(shape)
    assert Bits.all(shape).count() == a.size and Bits.none(shape).count() == 0


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_rows_and_columns_are_those_of_the_tensor(shape: tuple[int, ...]) -> None:
    rows, columns = flags(shape[:1]), flags(shape[-1:])
    by_rows = rows.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
    assert Bits.rows(rows, shape) == Bits.of(by_rows)
    assert Bits.columns(columns, shape) == Bits.of(columns.expand(shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [0, 1, 5, 64, 10**9])
def test_the_first_are_the_lowest_positions(shape: tuple[int, ...], count: int) -> None:
    bits = Bits.of(flags(shape))
    assert bits.first(count) == Bits.at(bits.positions()[:count], shape)


@given(st.lists(st.integers(0, 99)))
def test_positions_may_come_in_any_order_and_twice(positions: list[int]) -> None:
    bits = Bits.at(torch.tensor(positions, dtype=torch.int64), (4, 25))
    assert bits.positions().tolist() == sorted(set(positions))


def test_flags_need_not_lie_in_order() -> None:
    chosen = flags((6, 11))
    assert Bits.of(chosen.T) == Bits.of(chosen.T.clone())


def test_bits_of_different_shapes_are_different_and_are_not_joined() -> None:
    assert Bits.none((2, 3)) != Bits.none((3, 2))
    assert Bits.none((2,)) != "none"
    with pytest.raises(ValueError, match=r"of shape \(2, 3\) do not fit those of shape \(3, 2\)"):
        Bits.none((2, 3)) | Bits.none((3, 2))


def test_it_tells_how_much_it_chooses_and_moves_to_a_device() -> None:
    bits = Bits.of(torch.tensor([True, False, True]))
    assert repr(bits) == "Bits(2 of 3, shape (3,))"
    assert bits.to("cpu") == bits
    assert bits.device == torch.device("cpu")


@pytest.mark.parametrize(
    ("packed", "shape", "fault"),
    [
        ([0, 0], (8,), r"bits of a tensor of shape \(8,\) take \(1,\) of torch.uint8, not \(2,\)"),
        ([8], (3,), r"bits are set beyond the 3 scalars of a tensor of shape \(3,\)"),
    ],
)
def test_bytes_that_make_no_sense_are_refused(packed: list[int], shape: tuple[int, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Bits(torch.tensor(packed, dtype=torch.uint8), shape)


def test_bits_are_bytes() -> None:
    with pytest.raises(ValueError, match=r"not \(1,\) of torch.int64"):
        Bits(torch.zeros(1, dtype=torch.int64), (8,))


@pytest.mark.parametrize("position", [-1, 6])
def test_positions_outside_are_refused(position: int) -> None:
    with pytest.raises(ValueError, match=r"positions lie outside a tensor of shape \(2, 3\)"):
        Bits.at(torch.tensor([0, position]), (2, 3))


def test_flags_that_are_not_the_rows_or_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\) flags do not fit the rows of a tensor of shape \(2, 3\)"):
        Bits.rows(flags((3,)), (2, 3))
    with pytest.raises(ValueError, match=r"\(2,\) flags do not fit the columns of a tensor of shape \(2, 3\)"):
        Bits.columns(flags((2,)), (2, 3))
    with pytest.raises(ValueError, match=r"do not fit the rows of a tensor of shape \(\)"):
        Bits.rows(flags((1,)), ())
