"""The spectrum after an update: of a rotation without decomposing, of the rest as a decomposition finds it."""

from __future__ import annotations

import pytest
import torch
from spectra import orthonormal
from torch import Tensor
from twins import MAKERS, Twins, normal, skewed

from holdfast.algebra import lanczos
from holdfast.algebra import tuned_spectrum as module
from holdfast.algebra.angles import principal_angles, subspace_distance
from holdfast.algebra.delta import Delta, Dense, Scaled
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.size import singular_value_change
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.algebra.tuned_spectrum import leading_tuned_spectrum, tuned_spectrum
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable


def assert_decomposes(found: Spectrum, tuned: Tensor, rounding: float) -> None:
    """Pairs are singular pairs of the tuned weight, and its largest."""
    left, values, right = (part.double() for part in (found.left, found.values, found.right))
    scale = max(1.0, float(tuned.norm()))
    torch.testing.assert_close(tuned @ right, left * values, rtol=0, atol=rounding * scale)
    torch.testing.assert_close(tuned.mT @ left, right * values, rtol=0, atol=rounding * scale)
    wanted = torch.linalg.svdvals(tuned)[: len(values)]
    torch.testing.assert_close(values, wanted, rtol=0, atol=rounding * scale)
    for directions in (left, right):
        torch.testing.assert_close(
            directions.mT @ directions, torch.eye(len(values)).double(), rtol=0, atol=10 * rounding
        )


@pytest.mark.parametrize("precision", [torch.float32, torch.float64], ids=str)
def test_it_is_the_spectrum_of_the_sum_for_every_form(twins: list[Twins], precision: torch.dtype) -> None:
    for twin in twins:
        shape, change = twin.change.shape, twin.change
        for weight in (
            normal(*shape, seed=8),
            change.weight.double() if isinstance(change, Rotation) else normal(*shape),
        ):
            base = spectrum_of(weight.to(precision))
            exactly = twin.change.dense().dtype == precision == torch.float64
            found = tuned_spectrum(weight.to(precision), change, base)
            assert {part.dtype for part in (found.left, found.values, found.right)} == {precision}
            assert found.is_complete
            assert_decomposes(found, weight + twin.dense, 1e-12 if exactly else 2e-5)
            leading = leading_tuned_spectrum(weight.to(precision), change, base, 1)
            assert_decomposes(leading, weight + twin.dense, 1e-12 if exactly else 2e-5)


@pytest.mark.parametrize("size", [1e-6, 0.1, 3.0])
@pytest.mark.parametrize("shape", [(6, 8), (12, 8), (8, 8)], ids=str)
def test_a_rotation_keeps_values_and_left_directions_bit_for_bit(
    size: float, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = normal(*shape)
    base, change = spectrum_of(weight), Rotation(weight, skewed(2, 4, size))
    for kind in (module, lanczos):
        monkeypatch.setattr(kind, "spectrum_of", lambda _: pytest.fail("the weight was decomposed again"))
    everything, three = tuned_spectrum(weight, change, base), leading_tuned_spectrum(weight, change, base, 3)
    for found, count in ((everything, min(shape)), (three, 3)):
        assert len(found.values) == count
        assert torch.equal(found.values, base.values[:count]) and torch.equal(found.left, base.left[:, :count])
        turn = torch.block_diag(*change.rotation())
        torch.testing.assert_close(found.right, turn.mT @ base.right[:, :count])
        assert_decomposes(found, weight + change.dense(), 1e-12)
    assert singular_value_change(base, everything).relative == 0
    assert subspace_distance(principal_angles(base, everything, 3, "left")) < 1e-14
    assert subspace_distance(principal_angles(base, everything, 3, "right")) > 1e-8


def test_more_directions_of_a_rotation_than_are_known_of_the_base_are_iterated() -> None:
    weight = normal(6, 8)
    change = Rotation(weight, skewed(2, 4))
    found = leading_tuned_spectrum(weight, change, spectrum_of(weight).top(2), 4)
    assert len(found.values) == 4
    assert_decomposes(found, weight + change.dense(), 1e-12)


def test_rotation_of_half_precision_weights_takes_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = normal(8, 8).bfloat16()
    base, change = spectrum_of(weight), Rotation(weight, skewed(2, 4).bfloat16())
    monkeypatch.setattr(module, "spectrum_of", lambda _: pytest.fail("the weight was decomposed again"))
    assert_decomposes(tuned_spectrum(weight, change, base), weight.double() + change.dense().double(), 2e-6)


def test_a_rotation_of_another_weight_is_a_change_like_any_other() -> None:
    weight, other = normal(6, 8), normal(6, 8, seed=1)
    change = Rotation(other, skewed(2, 4))
    found = tuned_spectrum(weight, change, spectrum_of(weight))
    assert_decomposes(found, weight + change.dense(), 1e-12)
    assert not torch.equal(found.values, spectrum_of(weight).values)


def test_part_of_a_rotation_along_the_straight_line_is_no_rotation() -> None:
    weight = normal(6, 8)
    change = Scaled(0.5, Rotation(weight, skewed(2, 4)))
    found = tuned_spectrum(weight, change, spectrum_of(weight))
    assert_decomposes(found, weight + change.dense(), 1e-12)
    assert singular_value_change(spectrum_of(weight), found).relative > 1e-3


def large_changes() -> dict[str, Delta]:
    shape = (260, 240)
    return {
        "low rank": LowRank(normal(shape[0], 4, seed=1), normal(4, shape[1], seed=2)),
        "scaled low rank": Scaled(0.1, LowRank(normal(shape[0], 4, seed=1), normal(4, shape[1], seed=2))),
        "high rank": LowRank(0.1 * normal(shape[0], 80, seed=1), 0.1 * normal(80, shape[1], seed=2)),
        "dense": Dense(0.05 * normal(*shape, seed=1)),
        "sparse": MAKERS["few entries"](*shape, torch.float64).change,
        "rotation of another weight": Rotation(normal(*shape, seed=6), skewed(24, 10, 0.1)),
    }


@pytest.mark.parametrize("name", large_changes())
def test_leading_directions_of_a_large_weight_are_iterated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, weight = large_changes()[name], normal(260, 240)
    base = spectrum_of(weight)
    monkeypatch.setattr(lanczos, "spectrum_of", lambda _: pytest.fail("the matrix was decomposed"))
    tuned = weight + change.dense().double()
    found = leading_tuned_spectrum(weight, change, base, 8, residual=1e-9)
    truth = spectrum_of(tuned)
    assert len(found.values) == 8
    assert_decomposes(found, tuned, 1e-9)
    for side in ("left", "right"):
        assert float(principal_angles(truth, found, 8, side).max()) < 1e-6
    partly = leading_tuned_spectrum(weight, change, base.top(3), 8, residual=1e-9)
    torch.testing.assert_close(partly.values, found.values)


def test_an_overwhelming_new_direction_is_found_first() -> None:
    weight = normal(260, 240)
    left, right = orthonormal(260, 1, seed=4), orthonormal(240, 1, seed=5)
    for size in (1e3, -1e3):
        found = leading_tuned_spectrum(weight, Dense(size * left @ right.mT), spectrum_of(weight), 2)
        assert abs(float(found.left[:, 0] @ left[:, 0])) == pytest.approx(1, abs=1e-3)
        assert abs(float(found.right[:, 0] @ right[:, 0])) == pytest.approx(1, abs=1e-3)


def test_no_change_takes_a_single_round_from_the_directions_of_the_base() -> None:
    weight = normal(260, 240)
    zero = LowRank(torch.zeros(260, 2).double(), normal(2, 240))
    base = spectrum_of(weight)
    found = leading_tuned_spectrum(weight, zero, base, 8, residual=1e-10)
    torch.testing.assert_close(found.values, base.values[:8])
    assert float(principal_angles(base, found, 8, "right").max()) < 1e-9


def test_what_does_not_hold_still_is_refused() -> None:
    weight = normal(260, 240).float()
    with pytest.raises(NotMeasurable, match=r"1\.0e-12 was asked; allow a larger residual"):
        leading_tuned_spectrum(weight, Dense(normal(260, 240, seed=1)), spectrum_of(weight), 2, residual=1e-12)


def test_a_change_of_another_shape_is_refused() -> None:
    weight = normal(4, 6)
    for measure in (tuned_spectrum, lambda *given: leading_tuned_spectrum(*given, 1)):
        with pytest.raises(IncompatibleUpdate) as caught:
            measure(weight, Dense(normal(6, 4)), spectrum_of(weight))
        assert str(caught.value) == (
            "the change has shape (6, 4), the weight has shape (4, 6): was it made from another base?"
        )


def test_the_spectrum_of_another_weight_is_refused() -> None:
    weight = normal(4, 6)
    for other in (normal(4, 6, seed=1), normal(6, 4), 1.01 * weight):
        for measure in (tuned_spectrum, lambda *given: leading_tuned_spectrum(*given, 1)):
            with pytest.raises(IncompatibleUpdate) as caught:
                measure(weight, Dense(normal(4, 6)), spectrum_of(other))
            assert str(caught.value) == (
                "the spectrum given is not that of this weight of shape (4, 6): work it out again with "
                "spectrum_of(weight)"
            )


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_change_that_is_not_finite_is_refused(value: float) -> None:
    weight = normal(4, 6)
    change = Dense(torch.zeros(4, 6).index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(value)))
    for measure in (tuned_spectrum, lambda *given: leading_tuned_spectrum(*given, 1)):
        with pytest.raises(NotMeasurable, match="1 of its entries are not finite, the first at row 1, column 2"):
            measure(weight, change, spectrum_of(weight))
