"""Single vectors before and after: at the same place, matched, and those that are new."""

from __future__ import annotations

from itertools import permutations
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spectra import orthonormal, spectrum_with, weight_of, weight_with
from torch import Tensor
from twins import normal, skewed

from holdfast.algebra.alignment import alignment, best_cosines, intruder_dimensions, matched_alignment
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.algebra.tuned_spectrum import tuned_spectrum
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def pair(outputs: int, inputs: int, seed: int, scale: float = 0.3) -> tuple[Spectrum, Spectrum]:
    weight = normal(outputs, inputs, seed=seed)
    return spectrum_of(weight), spectrum_of(weight + scale * normal(outputs, inputs, seed=seed + 1))


def one_by_one(before: Tensor, after: Tensor) -> list[list[float]]:
    """|cosine| of every vector before with every vector after."""
    return [[abs(float(one @ other)) for other in after.mT] for one in before.mT]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_alignment_is_the_cosine_at_each_place_and_matching_maximises_their_sum(
    outputs: int, inputs: int, seed: int
) -> None:
    base, tuned = pair(outputs, inputs, seed)
    for side in SIDES:
        table = one_by_one(base.directions(side), tuned.directions(side))
        places = range(len(table))
        found, matched = alignment(base, tuned, side), matched_alignment(base, tuned, side)
        assert found.tolist() == pytest.approx([table[place][place] for place in places])
        best = max(sum(table[i][order[i]] for i in places) for order in permutations(places))
        assert float(matched.sum()) == pytest.approx(best)
        assert float(matched.mean()) >= float(found.mean()) - 1e-12
        assert float(min(found.min(), matched.min())) >= 0 and float(max(found.max(), matched.max())) <= 1


def test_vectors_that_change_places_are_matched_again() -> None:
    weight = torch.diag(torch.tensor([1.0, 0.999, 0.5])).double()
    base, tuned = spectrum_of(weight), spectrum_of(weight[:, torch.tensor([1, 0, 2])])
    assert alignment(base, tuned).tolist() == pytest.approx([0, 0, 1])
    assert matched_alignment(base, tuned).tolist() == pytest.approx([1, 1, 1])
    # Columns were exchanged, so each value kept its place and its output.
    assert alignment(base, tuned, "left").tolist() == pytest.approx([1, 1, 1])


def test_matched_cosines_stand_in_the_order_of_the_base() -> None:
    base = spectrum_with([3.0, 2.0, 1.0], 3, 3)
    axes = base.right
    half = (axes[:, 1] + axes[:, 2]) / 2**0.5
    other = (axes[:, 1] - axes[:, 2]) / 2**0.5
    tuned = Spectrum(base.left, base.values, torch.stack([half, other, axes[:, 0]], dim=1))
    assert matched_alignment(base, tuned).tolist() == pytest.approx([1, 0.5**0.5, 0.5**0.5])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_weight_is_aligned_with_itself(dtype: torch.dtype) -> None:
    base = spectrum_of(normal(40, 30).to(dtype))
    for side in SIDES:
        for found in (alignment(base, base, side), matched_alignment(base, base, side), best_cosines(base, base)):
            assert found.tolist() == pytest.approx([1] * len(found), abs=1e-5)
            assert float(found.max()) <= 1
        assert intruder_dimensions(base, base, side=side, threshold=0.99) == 0


def test_leading_parts_are_compared_as_far_as_both_go() -> None:
    base, tuned = pair(8, 6, 0)
    assert torch.equal(alignment(base.top(4), tuned.top(3)), alignment(base, tuned)[:3])
    assert len(matched_alignment(base.top(4), tuned.top(3))) == 3


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0.01, 3), st.floats(0.1, 0.99), st.integers(0, 10**6))
def test_intruders_are_vectors_near_none_of_the_base(
    outputs: int, inputs: int, scale: float, threshold: float, seed: int
) -> None:
    base, tuned = pair(outputs, inputs, seed, scale)
    count = max(1, min(outputs, inputs) - 1)
    for side in SIDES:
        table = one_by_one(base.directions(side), tuned.directions(side))
        wanted = [max(row[place] for row in table) for place in range(count)]
        assert best_cosines(base, tuned, count, side).tolist() == pytest.approx(wanted)
        assert intruder_dimensions(base, tuned, count, threshold, side) == sum(best < threshold for best in wanted)


@pytest.mark.parametrize("seed", range(3))
def test_a_strong_new_direction_is_one_intruder_and_a_weak_one_is_none(seed: int) -> None:
    weight = normal(256, 256, seed=seed)
    base = spectrum_of(weight)
    largest = float(base.values[0])
    left, right = orthonormal(256, 1, seed=seed + 10), orthonormal(256, 1, seed=seed + 20)
    strong = tuned_spectrum(weight, LowRank(2 * largest * left, right.mT), base)
    weak = tuned_spectrum(weight, LowRank(0.01 * largest * left, right.mT), base)
    for side in SIDES:
        assert intruder_dimensions(base, strong, side=side) == 1
        assert float(best_cosines(base, strong, 1, side)) < 0.5
        assert intruder_dimensions(base, weak, side=side) == 0
    assert abs(float(strong.left[:, 0] @ left[:, 0])) > 0.8
    assert abs(float(strong.right[:, 0] @ right[:, 0])) > 0.8


def test_a_rotation_makes_intruders_on_the_right_only() -> None:
    weight = normal(60, 60)
    base = spectrum_of(weight)
    tuned = tuned_spectrum(weight, Rotation(weight, skewed(1, 60, 0.1)), base)
    assert intruder_dimensions(base, tuned, side="left") == 0
    assert best_cosines(base, tuned, side="left").tolist() == pytest.approx([1] * 10)
    assert intruder_dimensions(base, tuned, side="right") > 5


def test_the_threshold_parts_what_is_near_from_what_is_new() -> None:
    base = spectrum_with([4.0, 3.0, 2.0, 1.0], 6, 4)
    direction = 0.6 * base.left[:, 0] + 0.8 * orthonormal(6, 6)[:, 5]
    tuned = Spectrum(direction[:, None] / direction.norm(), base.values[:1], base.right[:, :1])
    cosine = float(best_cosines(base, tuned, 1, "left"))
    assert intruder_dimensions(base, tuned, 1, cosine - 1e-6) == 0
    assert intruder_dimensions(base, tuned, 1, cosine + 1e-6) == 1


def test_a_turn_within_tied_directions_is_no_intruder() -> None:
    base = spectrum_with([5.0, 2.0, 2.0, 2.0, 1.0], 5, 7)
    turn = torch.block_diag(torch.eye(1), orthonormal(3, 3, seed=5), torch.eye(1)).double()
    same = Spectrum(base.left @ turn, base.values, base.right @ turn)
    torch.testing.assert_close(weight_of(same), weight_of(base))
    for side in SIDES:
        assert best_cosines(base, same, 5, side).tolist() == pytest.approx([1] * 5)


def test_a_direction_that_the_base_does_not_have_is_new_however_its_zeros_are_completed() -> None:
    weight = weight_with([3.0, 2.0], 6, 6)
    base = spectrum_of(weight)
    added = 9.0 * base.left[:, 3:4] @ base.right[:, 4:5].mT
    tuned = spectrum_of(weight + added)
    for side in SIDES:
        assert best_cosines(base, tuned, 3, side).tolist() == pytest.approx([0, 1, 1], abs=1e-7)
        assert intruder_dimensions(base, tuned, 3, side=side) == 1
    zero = spectrum_of(torch.zeros(6, 6).double())
    assert best_cosines(zero, tuned, 3).tolist() == [0, 0, 0]


def test_intruders_take_the_whole_base_and_enough_of_the_tuned_weight() -> None:
    base, tuned = pair(8, 6, 0)
    with pytest.raises(NotMeasurable, match="the nearest of all directions takes all 6 singular values"):
        intruder_dimensions(base.top(4), tuned, 2)
    assert torch.equal(best_cosines(base, tuned.top(3), 3), best_cosines(base, tuned, 3))
    for count, known in ((4, tuned.top(3)), (10, tuned), (0, tuned)):
        with pytest.raises(NotMeasurable) as caught:
            intruder_dimensions(base, known, count)
        assert str(caught.value) == (
            f"the leading {count} directions of a weight of shape (8, 6): {len(known.values)} are known"
        )


def test_weights_of_different_shapes_are_not_compared() -> None:
    one, other = spectrum_of(normal(12, 11)), spectrum_of(normal(11, 12))
    for measure in (alignment, matched_alignment, best_cosines, intruder_dimensions):
        with pytest.raises(IncompatibleUpdate, match=r"weights of shapes \(12, 11\) and \(11, 12\)"):
            measure(one, other)


def test_spectra_of_different_precision_are_compared_in_that_of_the_base() -> None:
    weight = normal(12, 12)
    single, double = spectrum_of(weight.float()), spectrum_of(weight)
    for measure in (alignment, matched_alignment, best_cosines):
        assert measure(single, double).dtype == torch.float32
        assert measure(double, single).dtype == torch.float64
        assert measure(single, double).tolist() == pytest.approx([1] * len(measure(single, double)), abs=1e-5)
