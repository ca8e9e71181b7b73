"""A change of few entries is kept as positions and values."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.sparse import Sparse


@st.composite
def sparse_changes(draw: st.DrawFn) -> tuple[list[int], list[float], tuple[int, int]]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    positions = draw(st.lists(st.integers(0, shape[0] * shape[1] - 1), unique=True))
    values = draw(st.lists(st.floats(-10, 10), min_size=len(positions), max_size=len(positions)))
    return positions, values, shape


@given(sparse_changes())
def test_it_is_zero_but_for_its_entries(change: tuple[list[int], list[float], tuple[int, int]]) -> None:
    positions, values, shape = change
    wanted = [[0.0] * shape[1] for _ in range(shape[0])]
    for position, value in zip(positions, values, strict=True):
        wanted[position // shape[1]][position % shape[1]] = value
    dense = torch.tensor(wanted, dtype=torch.float64)
    found = Sparse(torch.tensor(positions, dtype=torch.long), torch.tensor(values, dtype=torch.float64), shape)
    assert torch.equal(found.dense(), dense)
    assert found.norm() == pytest.approx(float(dense.norm()))
    inputs = torch.arange(1.0, shape[1] + 1, dtype=torch.float64)
    torch.testing.assert_close(found.times(inputs), dense @ inputs)


def test_it_may_stand_for_a_tensor_of_any_dimension() -> None:
    change = Sparse(torch.tensor([0, 7]), torch.tensor([1.0, 2.0]), (2, 2, 2))
    assert change.dense()[0, 0, 0] == 1 and change.dense()[1, 1, 1] == 2
    assert change.shape == (2, 2, 2)


def test_the_matrix_is_never_formed_to_act_on_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    change = Sparse(torch.tensor([3]), torch.tensor([2.0]), (2, 3))
    monkeypatch.setattr(Sparse, "dense", lambda self: pytest.fail("the matrix was formed"))
    assert change.times(torch.tensor([5.0, 0.0, 0.0])).tolist() == [0.0, 10.0]
    assert change.times_left(torch.tensor([0.0, 5.0])).tolist() == [10.0, 0.0, 0.0]
    assert change.in_memory() is change
    assert change.norm() == 2.0


def test_gradients_flow_through_it_to_the_inputs() -> None:
    change = Sparse(torch.tensor([5, 0]), torch.tensor([2.0, 3.0]), (2, 3))
    inputs = torch.ones(4, 3, requires_grad=True)
    change.times(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.tolist() == [[3.0, 0.0, 2.0]] * 4


@pytest.mark.parametrize(
    ("positions", "values", "fault"),
    [
        ([1, 2], [1.0], "2 positions do not fit 1 values"),
        ([6], [1.0], r"positions lie outside a tensor of shape \(2, 3\)"),
        ([-1], [1.0], r"positions lie outside a tensor of shape \(2, 3\)"),
        ([4, 4], [1.0, 2.0], "a position is listed twice"),
    ],
)
def test_entries_that_make_no_sense_are_refused(positions: list[int], values: list[float], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Sparse(torch.tensor(positions), torch.tensor(values), (2, 3))
