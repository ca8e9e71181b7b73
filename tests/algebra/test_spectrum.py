"""The spectrum of a weight is its thin decomposition, knows what is arbitrary in it, and knows its weight again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spectra import orthonormal, spectrum_with, weight_of, weight_with
from torch import Tensor
from twins import DTYPES, SHAPES, normal

from holdfast.algebra.spectrum import BLOCK_ROWS, Spectrum, check_comparable, check_complete, spectrum_of
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable

shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@shapes
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_it_decomposes_the_weight_as_numpy_does(shape: tuple[int, int], dtype: torch.dtype) -> None:
    weight = normal(*shape, dtype=dtype)
    found = spectrum_of(weight)
    precise = torch.float64 if dtype == torch.float64 else torch.float32
    rounding = 1e-13 if dtype == torch.float64 else 5e-6
    count = min(shape)
    assert {part.dtype for part in (found.left, found.values, found.right)} == {precise}
    assert found.shape == shape and found.is_complete and found.rank == count
    assert found.left.shape == (shape[0], count) and found.right.shape == (shape[1], count)
    np.testing.assert_allclose(weight_of(found).double().numpy(), weight.double().numpy(), atol=rounding)
    values = np.linalg.svd(weight.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(found.values.double().numpy(), values, atol=rounding)
    for directions in (found.left, found.right):
        np.testing.assert_allclose((directions.mT @ directions).numpy(), np.eye(count), atol=rounding)


def test_directions_are_named_by_their_side() -> None:
    spectrum = spectrum_of(normal(3, 5))
    assert spectrum.directions("left") is spectrum.left
    assert spectrum.directions("right") is spectrum.right


def test_a_trained_weight_is_taken_without_its_gradient() -> None:
    assert not spectrum_of(torch.nn.Parameter(torch.ones(2, 3))).left.requires_grad


def test_the_leading_part_is_no_longer_complete() -> None:
    whole = spectrum_of(normal(4, 10))
    part = whole.top(3)
    assert part.values.tolist() == whole.values[:3].tolist()
    assert torch.equal(part.left, whole.left[:, :3]) and torch.equal(part.right, whole.right[:, :3])
    assert part.shape == (4, 10)
    assert whole.is_complete and not part.is_complete


@pytest.mark.parametrize(
    ("value", "dtype"), [(float("inf"), torch.float32), (float("nan"), torch.bfloat16), (-float("inf"), torch.float64)]
)
def test_a_weight_that_is_not_finite_is_an_error_that_says_where(value: float, dtype: torch.dtype) -> None:
    weight = torch.ones(4, 6, dtype=dtype)
    weight[2, 5] = weight[3, 0] = value
    with pytest.raises(NotMeasurable) as caught:
        spectrum_of(weight)
    assert str(caught.value) == (
        "spectrum of a weight of shape (4, 6): 2 of its entries are not finite, the first at row 2, column 5; take a "
        "checkpoint from before training diverged, or read the file again"
    )


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 3), (3, 0)], ids=str)
def test_what_is_no_matrix_has_no_spectrum(shape: tuple[int, ...]) -> None:
    with pytest.raises(NotMeasurable) as caught:
        spectrum_of(torch.ones(shape))
    assert str(caught.value) == f"spectrum of a weight of shape {shape}: defined for matrices with entries"


def runs_by_walking(values: list[float]) -> list[range]:
    """Tied runs, value by value."""
    runs, first = [], 0
    real = [value for value in values if value > 1e-6 * values[0]]
    for index in range(1, len(real) + 1):
        if index == len(real) or real[index - 1] - real[index] > 1e-6 * values[0]:
            runs += [range(first, index)] if index - first > 1 else []
            first = index
    return runs


@given(st.lists(st.sampled_from([3.0, 3.0 - 1e-7, 2.0, 2.0 - 1e-5, 1.0, 1e-3, 1e-7, 0.0]), min_size=1, max_size=9))
def test_ties_are_runs_of_neighbours_closer_than_a_millionth_of_the_largest(values: list[float]) -> None:
    falling = sorted(values, reverse=True)
    spectrum = spectrum_with(falling, 9, 9)
    assert list(spectrum.ties()) == runs_by_walking(falling)
    assert spectrum.rank == sum(value > 1e-6 * falling[0] for value in falling)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_ties_do_not_depend_on_the_size_of_the_weight(scale: float) -> None:
    values = [5.0, 3.0, 3.0, 3.0, 2.0, 1.0, 1.0, 0.0, 0.0]
    assert spectrum_with([scale * value for value in values], 9, 9).ties() == (range(1, 4), range(5, 7))


def test_equal_values_found_in_float32_are_ties() -> None:
    spectrum = spectrum_of(weight_with([2.0, 1.0, 1.0, 1.0, 0.5], 7, 5).float())
    assert spectrum.ties() == (range(1, 4),)


def test_random_weights_have_no_ties() -> None:
    for shape in SHAPES:
        assert spectrum_of(normal(*shape).float()).ties() == ()


def test_a_zero_weight_has_rank_0_and_no_ties() -> None:
    spectrum = spectrum_of(torch.zeros(3, 4))
    assert spectrum.rank == 0
    assert spectrum.ties() == ()


@pytest.mark.parametrize("outputs", [1, 5])
def test_a_weight_of_rank_1_is_found_in_its_direction(outputs: int) -> None:
    left, right = orthonormal(outputs, 1), orthonormal(8, 1, seed=1)
    spectrum = spectrum_of((3.0 * left @ right.mT).float())
    assert spectrum.rank == 1
    assert float(spectrum.values[0]) == pytest.approx(3.0)
    assert abs(float(spectrum.left[:, 0].double() @ left[:, 0])) == pytest.approx(1.0)
    assert abs(float(spectrum.right[:, 0].double() @ right[:, 0])) == pytest.approx(1.0)


@shapes
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_it_knows_its_own_weight_again(shape: tuple[int, int], dtype: torch.dtype) -> None:
    weight = normal(*shape, dtype=dtype)
    spectrum = spectrum_of(weight)
    assert spectrum.is_of(weight)
    assert spectrum.top(1).is_of(weight)
    assert spectrum.is_of(weight.double())
    assert spectrum_of(weight.double()).is_of(weight)
    assert Spectrum(-spectrum.left, spectrum.values, -spectrum.right).is_of(weight)


@pytest.mark.parametrize("shape", [(BLOCK_ROWS, 9), (BLOCK_ROWS + 1, 9), (9, 2 * BLOCK_ROWS + 3)], ids=str)
def test_weights_of_many_rows_are_known_again_and_no_others(shape: tuple[int, int]) -> None:
    weight = normal(*shape).bfloat16()
    spectrum = spectrum_of(weight)
    assert spectrum.is_of(weight)
    for row in (0, shape[0] - 1):
        other = weight.clone()
        other[row, -1] += 0.1
        assert not spectrum.is_of(other)
    assert not spectrum.is_of(weight.roll(1, dims=0))


def test_a_zero_weight_is_known_again() -> None:
    assert spectrum_of(torch.zeros(3, 4)).is_of(torch.zeros(3, 4))
    assert not spectrum_of(torch.zeros(3, 4)).is_of(torch.ones(3, 4))


def beyond_the_rows(weight: Tensor) -> Tensor:
    """A change that moves only inputs which the rows of the weight do not span."""
    free = torch.eye(weight.shape[1], dtype=weight.dtype) - spectrum_of(weight).right @ spectrum_of(weight).right.mT
    return normal(*weight.shape, seed=5) @ free


@pytest.mark.parametrize("shape", [(4, 10), (10, 4), (6, 6)], ids=str)
def test_it_is_of_no_other_weight(shape: tuple[int, int]) -> None:
    weight = normal(*shape)
    spectrum = spectrum_of(weight)
    others = {
        "another draw": normal(*shape, seed=1),
        "a little tuned": weight + 1e-3 * normal(*shape, seed=1),
        "one entry moved": weight.index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(0.01).double()),
        "rows exchanged": weight[torch.tensor([1, 0, *range(2, shape[0])])],
        "columns exchanged": weight[:, torch.tensor([1, 0, *range(2, shape[1])])],
        "half as large": 0.5 * weight,
        "of other sign": -weight,
        "of another shape": weight[:-1],
        "turned about": weight.mT,
    }
    for name, other in others.items():
        assert not spectrum.is_of(other), name
        assert not spectrum.top(2).is_of(other), name


def test_it_sees_what_changed_outside_of_the_thin_decomposition() -> None:
    wide = normal(4, 10)
    assert not spectrum_of(wide).is_of(wide + beyond_the_rows(wide))
    assert not spectrum_of(wide.mT).is_of((wide + beyond_the_rows(wide)).mT)


def test_weights_of_different_shapes_are_not_compared() -> None:
    with pytest.raises(IncompatibleUpdate) as caught:
        check_comparable(spectrum_of(normal(3, 4)), spectrum_of(normal(4, 3)))
    assert str(caught.value) == (
        "the spectra are of weights of shapes (3, 4) and (4, 3): compare one weight before and after"
    )
    check_comparable(spectrum_of(normal(3, 4)), spectrum_of(normal(3, 4)).top(2))


def test_what_takes_all_values_is_refused_to_the_leading_part() -> None:
    check_complete(spectrum_of(normal(3, 4)), "everything")
    with pytest.raises(NotMeasurable) as caught:
        check_complete(spectrum_of(normal(3, 4)).top(2), "everything")
    assert str(caught.value) == (
        "everything takes all 3 singular values of a weight of shape (3, 4), and 2 are known: take its whole spectrum"
    )
