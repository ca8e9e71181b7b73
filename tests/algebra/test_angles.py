"""Principal angles are those of scipy, exact when tiny, and refused where they mean nothing."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from spectra import orthonormal, spectrum_with
from torch import Tensor
from twins import normal

from holdfast.algebra.angles import principal_angles, subspace_distance
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def projection_distance(before: Tensor, after: Tensor) -> float:
    """||P0 - P1||_F / sqrt(2k) with both projections formed."""
    return float((before @ before.mT - after @ after.mT).norm()) / math.sqrt(2 * before.shape[1])


def turned(by: list[float], width: int = 9) -> tuple[Spectrum, Spectrum]:
    """Spectra whose leading right directions are turned by given angles, each in a plane of its own."""
    count = len(by)
    axes, spare = orthonormal(width, width)[:, :count], orthonormal(width, width)[:, count : 2 * count]
    angles = torch.tensor(by, dtype=torch.float64)
    after = axes * angles.cos() + spare * angles.sin()
    values, left = torch.linspace(2, 1, count).double(), orthonormal(width, count, seed=2)
    return Spectrum(left, values, axes), Spectrum(left, values, after)


@given(st.integers(4, 12), st.integers(4, 12), st.floats(1e-4, 3), st.data())
def test_angles_are_those_of_scipy_and_the_distance_that_of_projections(
    outputs: int, inputs: int, scale: float, data: st.DataObject
) -> None:
    count, seed = data.draw(st.integers(1, min(outputs, inputs) // 2)), data.draw(st.integers(0, 10**6))
    weight = normal(outputs, inputs, seed=seed)
    base, tuned = spectrum_of(weight), spectrum_of(weight + scale * normal(outputs, inputs, seed=seed + 1))
    for side in SIDES:
        before, after = (spectrum.directions(side)[:, :count] for spectrum in (base, tuned))
        found = principal_angles(base, tuned, count, side)
        wanted = scipy.linalg.subspace_angles(before.numpy(), after.numpy())[::-1]
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)
        assert bool((found[1:] >= found[:-1] - 1e-12).all())
        assert float(found.min()) >= 0 and float(found.max()) <= math.pi / 2
        assert subspace_distance(found) == pytest.approx(projection_distance(before, after), abs=1e-9)
        assert subspace_distance(found) == pytest.approx(
            math.sqrt(sum(math.sin(angle) ** 2 for angle in found.tolist()) / count), abs=1e-12
        )


@pytest.mark.parametrize(
    "angles", [[0.0, 0.3], [1e-9, 1e-5, 1e-3, 0.7, 1.5], [0.785, 0.786], [1e-12, math.pi / 2 - 1e-8]]
)
def test_angles_of_any_size_are_found_to_all_digits(angles: list[float]) -> None:
    found = principal_angles(*turned(angles, 14), len(angles), "right")
    assert found.tolist() == pytest.approx(angles, rel=1e-12, abs=2e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (300, 40)], ids=str)
def test_a_weight_against_itself_is_turned_by_nothing(shape: tuple[int, int], dtype: torch.dtype) -> None:
    base = spectrum_of(normal(*shape).to(dtype))
    count = min(shape) // 2
    for side in SIDES:
        angles = principal_angles(base, base, count, side)
        assert float(angles.max()) < 1e-14
        assert subspace_distance(angles) < 1e-14


def test_small_angles_are_not_lost_in_float32_vectors() -> None:
    base, tuned = turned([1e-5, 2e-4])
    single = [Spectrum(*(part.float() for part in (each.left, each.values, each.right))) for each in (base, tuned)]
    # The rounding of a vector is 6e-8 an entry; the cosine of 1e-5 rounds to 1 in float32.
    assert principal_angles(*single, 2, "right").tolist() == pytest.approx([1e-5, 2e-4], abs=3e-7)


@given(st.integers(0, 10**6))
def test_angles_do_not_depend_on_signs_or_on_the_order_within_the_subspace(seed: int) -> None:
    base, tuned = spectrum_of(normal(8, 7, seed=seed)), spectrum_of(normal(8, 7, seed=seed + 1))
    flips, order = normal(7, seed=seed + 2).sign(), torch.tensor([2, 0, 1, 3, 4, 5, 6])
    other = Spectrum((tuned.left * flips)[:, order], tuned.values, (tuned.right * flips)[:, order])
    for side in SIDES:
        torch.testing.assert_close(
            principal_angles(base, tuned, 3, side), principal_angles(base, other, 3, side), rtol=0, atol=1e-7
        )


def test_it_is_the_same_from_either_weight() -> None:
    base, tuned = spectrum_of(normal(8, 7)), spectrum_of(normal(8, 7, seed=1))
    torch.testing.assert_close(principal_angles(base, tuned, 3, "left"), principal_angles(tuned, base, 3, "left"))


def test_subspaces_without_a_common_direction_are_at_distance_1() -> None:
    angles = principal_angles(*turned([math.pi / 2] * 3), 3, "right")
    assert angles.tolist() == pytest.approx([math.pi / 2] * 3)
    assert subspace_distance(angles) == pytest.approx(1)


def test_directions_that_change_places_span_what_they_spanned() -> None:
    weight = torch.diag(torch.tensor([1.0, 0.999, 0.5, 0.4, 0.3])).double()
    tuned = weight[:, torch.tensor([1, 0, 2, 3, 4])]
    angles = principal_angles(spectrum_of(weight), spectrum_of(tuned), 2, "right")
    assert float(angles.max()) < 1e-14


def test_leading_parts_of_spectra_will_do() -> None:
    base, tuned = spectrum_of(normal(8, 9)), spectrum_of(normal(8, 9, seed=1))
    found = principal_angles(base.top(3), tuned.top(4), 3, "right")
    assert torch.equal(found, principal_angles(base, tuned, 3, "right"))


@pytest.mark.parametrize("count", [0, 4, 64])
def test_subspaces_that_must_meet_are_refused(count: int) -> None:
    base = spectrum_of(normal(7, 9))
    with pytest.raises(NotMeasurable) as caught:
        principal_angles(base, base, count, "right")
    assert str(caught.value) == (
        f"the leading {count} directions of a weight of shape (7, 9): the count must lie between 1 and half of its "
        "smaller side, 3"
    )


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1)], ids=str)
def test_a_single_direction_has_no_subspace_to_compare(shape: tuple[int, int]) -> None:
    base = spectrum_of(normal(*shape))
    with pytest.raises(NotMeasurable, match="the count must lie between 1 and half of its smaller side, 0"):
        principal_angles(base, base, 1, "right")


def test_too_little_of_a_spectrum_is_refused() -> None:
    base = spectrum_of(normal(8, 9))
    for pair in ((base.top(2), base), (base, base.top(2))):
        with pytest.raises(NotMeasurable) as caught:
            principal_angles(*pair, 3, "right")
        assert str(caught.value) == (
            "the leading 3 directions of a weight of shape (8, 9): 2 are known, take more of its spectrum"
        )


def test_a_subspace_that_parts_a_tie_is_refused() -> None:
    sound, tied = spectrum_of(normal(6, 6)), spectrum_with([3.0, 2.0, 2.0, 1.0, 0.5, 0.1], 6, 6)
    for pair in ((sound, tied), (tied, sound)):
        with pytest.raises(NotMeasurable) as caught:
            principal_angles(*pair, 2, "right")
        assert str(caught.value) == (
            "the leading 2 directions of a weight of shape (6, 6): singular values 2 and 3 are equal, so which "
            "directions lead is chance; take another count"
        )
        principal_angles(*pair, 1, "right"), principal_angles(*pair, 3, "right")
    with pytest.raises(NotMeasurable, match="singular values 3 and 4 are equal"):
        principal_angles(sound, spectrum_with([3.0, 2.0, 0.0, 0.0, 0.0, 0.0], 6, 6), 3, "left")


def test_weights_of_different_shapes_are_not_compared() -> None:
    with pytest.raises(IncompatibleUpdate, match=r"weights of shapes \(8, 4\) and \(4, 8\)"):
        principal_angles(spectrum_of(normal(8, 4)), spectrum_of(normal(4, 8)), 2, "right")
