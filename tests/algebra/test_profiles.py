"""Profiles show where an update acts, and say what they do not show."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spectra import orthonormal, spectrum_with, weight_of, weight_with
from torch import Tensor
from twins import MAKERS, Twins, normal, skewed

from holdfast.algebra.delta import Delta, Dense, Scaled, Sum
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.profiles import Profiles, profiles_of
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.sparse import Sparse
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable

sizes = st.integers(1, 8)


def direction_by_direction(dense: Tensor, base: Spectrum) -> tuple[list[float], list[float], float]:
    """dP, E and what is left, straight from their definitions in float64."""
    left, right = base.left.double(), base.right.double()
    moved = [dense @ right[:, index] for index in range(right.shape[1])]
    retention = [float(left[:, index] @ image) for index, image in enumerate(moved)]
    outside = torch.eye(dense.shape[1], dtype=torch.float64) - right @ right.mT
    return retention, [float(image.norm()) for image in moved], float((dense @ outside).norm())


def assert_follows(found: Profiles, dense: Tensor, base: Spectrum, rounding: float) -> None:
    retention, adaptation, unseen = direction_by_direction(dense, base)
    near = rounding * max(float(dense.norm()), 1e-9)
    assert found.signed_retention.tolist() == pytest.approx(retention, rel=0, abs=near)
    assert found.retention.tolist() == pytest.approx([abs(value) for value in retention], rel=0, abs=near)
    assert found.adaptation.tolist() == pytest.approx(adaptation, rel=0, abs=near)
    assert found.unseen_norm == pytest.approx(unseen, rel=0, abs=near)


def changed_weights(twin: Twins) -> list[Tensor]:
    """The weight that a rotation turns, or one that the change knows nothing of."""
    shape = twin.change.shape
    return [normal(*shape, seed=8), twin.change.weight if isinstance(twin.change, Rotation) else normal(*shape, seed=9)]


@pytest.mark.parametrize("precision", [torch.float32, torch.float64], ids=str)
def test_profiles_of_every_form_follow_their_definition(twins: list[Twins], precision: torch.dtype) -> None:
    for twin in twins:
        for weight in changed_weights(twin):
            base = spectrum_of(weight.to(precision))
            found = profiles_of(twin.change, base)
            assert found.signed_retention.dtype == found.adaptation.dtype == precision
            assert found.ties == ()
            wide = twin.change.dense().dtype == precision == torch.float64
            assert_follows(found, twin.dense, base, 1e-12 if wide else 5e-6)


def test_leading_directions_see_a_part_of_what_all_see(twins: list[Twins]) -> None:
    for twin in twins:
        base = spectrum_of(normal(*twin.change.shape, seed=8)).top(2)
        assert_follows(profiles_of(twin.change, base), twin.dense, base, 5e-6)


@pytest.mark.parametrize("factor", [-2.0, 0.5])
def test_scaled_changes_have_scaled_profiles(twins: list[Twins], factor: float) -> None:
    for twin in twins:
        base = spectrum_of(normal(*twin.change.shape, seed=8))
        found = profiles_of(Scaled(factor, twin.change), base)
        assert_follows(found, factor * twin.dense, base, 5e-6)


@given(sizes, sizes, st.integers(0, 10**6))
def test_retention_is_below_adaptation_and_energies_add_up_to_the_norm(outputs: int, inputs: int, seed: int) -> None:
    change = Dense(normal(outputs, inputs, seed=seed))
    found = profiles_of(change, spectrum_of(normal(outputs, inputs, seed=seed + 1)))
    assert bool((found.retention <= found.adaptation * (1 + 1e-12)).all())
    assert float(found.adaptation.square().sum()) + found.unseen_norm**2 == pytest.approx(change.norm() ** 2)
    assert 0 <= found.diagonal_frac() <= 1 + 1e-12
    seen = float(found.adaptation.square().sum()) / change.norm() ** 2
    assert found.energy_seen_frac() == pytest.approx(seen)
    if outputs >= inputs:
        assert found.energy_seen_frac() == 1 and found.unseen_norm == 0


@given(sizes, sizes, st.integers(0, 10**6))
def test_signs_of_singular_vectors_do_not_matter(outputs: int, inputs: int, seed: int) -> None:
    base = spectrum_of(normal(outputs, inputs, seed=seed))
    signs = normal(len(base.values), seed=seed + 1).sign()
    flipped = Spectrum(base.left * signs, base.values, base.right * signs)
    change = Dense(normal(outputs, inputs, seed=seed + 2))
    one, other = profiles_of(change, base), profiles_of(change, flipped)
    torch.testing.assert_close(one.signed_retention, other.signed_retention)
    torch.testing.assert_close(one.adaptation, other.adaptation)


@pytest.mark.parametrize(("outputs", "inputs"), [(6, 6), (10, 4), (4, 10)])
@pytest.mark.parametrize("form", ["rank 1", "rank 3", "factors of deficient rank", "scaled"])
def test_factors_are_never_multiplied_out(
    outputs: int, inputs: int, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = MAKERS[form](outputs, inputs, torch.float64).change
    both = Sum(change, LowRank(normal(outputs, 1), normal(1, inputs)))
    wanted = [profiles_of(Dense(each.dense()), spectrum_of(normal(outputs, inputs))) for each in (change, both)]
    for kind in (LowRank, Scaled, Sum):
        monkeypatch.setattr(kind, "dense", lambda self: pytest.fail("the product was formed"))
    for each, profile in zip((change, both), wanted, strict=True):
        found = profiles_of(each, spectrum_of(normal(outputs, inputs)))
        torch.testing.assert_close(found.adaptation, profile.adaptation)
        assert found.unseen_norm == pytest.approx(profile.unseen_norm, abs=1e-12)


@pytest.mark.parametrize("form", ["few entries", "all entries", "one block", "two blocks"])
def test_the_matrix_is_formed_for_wide_weights_only(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Sparse, Rotation):
        monkeypatch.setattr(kind, "dense", lambda self: pytest.fail("the matrix was formed"))
    for shape in ((6, 6), (10, 4)):
        change = MAKERS[form](*shape, torch.float64).change
        profiles_of(change, spectrum_of(normal(*shape)))
    with pytest.raises(pytest.fail.Exception, match="the matrix was formed"):
        profiles_of(MAKERS[form](4, 10, torch.float64).change, spectrum_of(normal(4, 10)))


def test_an_update_of_one_direction_adapts_that_direction_alone() -> None:
    base = spectrum_of(normal(7, 5))
    change = LowRank(2.0 * base.left[:, 3:4], base.right[:, 3:4].mT)
    found = profiles_of(change, base)
    assert found.signed_retention.tolist() == pytest.approx([0, 0, 0, 2, 0], abs=1e-14)
    assert found.adaptation.tolist() == pytest.approx([0, 0, 0, 2, 0], abs=1e-14)
    assert found.diagonal_frac() == pytest.approx(1)


def test_an_update_off_the_diagonal_is_unseen_by_retention() -> None:
    base = spectrum_of(normal(7, 5))
    change = LowRank(base.left[:, 1:2], base.right[:, 3:4].mT)
    found = profiles_of(change, base)
    assert found.retention.tolist() == pytest.approx([0] * 5, abs=1e-14)
    assert found.adaptation.tolist() == pytest.approx([0, 0, 0, 1, 0], abs=1e-14)
    assert found.diagonal_frac() == pytest.approx(0, abs=1e-14)


def unseen_by(base: Spectrum) -> Tensor:
    """One input direction that no right vector of a wide weight has a share in."""
    direction = normal(base.shape[1], seed=4)
    direction = direction - base.right @ (base.right.mT @ direction)
    return direction / direction.norm()


@pytest.mark.parametrize("form", [LowRank, lambda left, right: Dense(left @ right)], ids=["low rank", "dense"])
def test_an_update_outside_of_the_thin_decomposition_is_seen_by_its_norm_only(
    form: Callable[[Tensor, Tensor], Delta],
) -> None:
    base = spectrum_of(normal(3, 8))
    change = form(normal(3, 1, seed=5), unseen_by(base)[None])
    found = profiles_of(change, base)
    assert found.unseen_norm == pytest.approx(change.norm())
    assert float(found.adaptation.max()) < 1e-14
    assert found.energy_seen_frac() == pytest.approx(0, abs=1e-14)


def test_the_diagonal_share_of_an_update_that_no_direction_sees_is_undefined() -> None:
    # Directions along axes, so that nothing is left to rounding.
    axes = torch.eye(4, dtype=torch.float64)
    base = Spectrum(axes[:2, :2], torch.tensor([2.0, 1.0], dtype=torch.float64), axes[:, :2])
    found = profiles_of(Dense(torch.tensor([[0.0, 0, 3, 0], [0, 0, 0, 4]], dtype=torch.float64)), base)
    assert found.unseen_norm == 5
    assert found.energy_seen_frac() == 0
    with pytest.raises(NotMeasurable) as caught:
        found.diagonal_frac()
    assert str(caught.value) == "diagonal share: the update is zero on all singular directions of the weight"


ZEROS = {
    "dense": Dense(torch.zeros(4, 10)),
    "rank 0": LowRank(torch.empty(4, 0), torch.empty(0, 10)),
    "fresh adapter": LowRank(torch.zeros(4, 2), torch.ones(2, 10)),
    "no entry": Sparse(torch.tensor([], dtype=torch.long), torch.tensor([]), (4, 10)),
    "no turn": Rotation(normal(4, 10, dtype=torch.float32), torch.zeros(2, 5, 5)),
}


@pytest.mark.parametrize("change", ZEROS.values(), ids=ZEROS)
def test_a_zero_update_has_profiles_of_exactly_0_and_no_shares(change: Delta) -> None:
    found = profiles_of(change, spectrum_of(normal(4, 10).float()))
    assert not found.signed_retention.any()
    assert not found.adaptation.any()
    assert found.unseen_norm == 0
    for measure, name in ((found.energy_seen_frac, "energy seen"), (found.diagonal_frac, "diagonal share")):
        with pytest.raises(NotMeasurable) as caught:
            measure()
        assert str(caught.value) == f"{name} of a zero update is undefined: nothing was changed"


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.3, 2.0])
def test_a_rotation_lowers_every_diagonal_entry_however_small_it_is(size: float) -> None:
    weight = normal(6, 8)
    exactly = Rotation(weight, skewed(2, 4, size))
    truth = profiles_of(exactly, spectrum_of(weight))
    turn = torch.block_diag(*exactly.rotation())
    directions, values = spectrum_of(weight).right, spectrum_of(weight).values
    direct = [float(s * (v @ turn @ v - 1)) for s, v in zip(values, directions.mT, strict=True)]
    assert truth.signed_retention.tolist() == pytest.approx(direct, rel=1e-3 if size < 1e-4 else 1e-9, abs=1e-15)
    assert bool((truth.signed_retention < 0).all())
    single = profiles_of(Rotation(weight.float(), skewed(2, 4, size).float()), spectrum_of(weight.float()))
    torch.testing.assert_close(single.signed_retention.double(), truth.signed_retention, rtol=1e-4, atol=0)


def test_directions_of_tied_values_get_the_average_over_all_their_bases() -> None:
    base = spectrum_with([4.0, 2.0, 2.0, 2.0, 1.0], 6, 7)
    change = Dense(normal(6, 7, seed=3))
    found = profiles_of(change, base)
    assert found.ties == (range(1, 4),)
    retention, adaptation, _ = direction_by_direction(change.dense(), base)
    mean, root = sum(retention[1:4]) / 3, (sum(value**2 for value in adaptation[1:4]) / 3) ** 0.5
    wanted = [retention[0], mean, mean, mean, retention[4]]
    assert found.signed_retention.tolist() == pytest.approx(wanted)
    assert found.adaptation.tolist() == pytest.approx([adaptation[0], root, root, root, adaptation[4]])
    turn = torch.block_diag(torch.eye(1), orthonormal(3, 3, seed=5), torch.eye(1))
    turned = profiles_of(change, Spectrum(base.left @ turn, base.values, base.right @ turn))
    torch.testing.assert_close(turned.signed_retention, found.signed_retention)
    torch.testing.assert_close(turned.adaptation, found.adaptation)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)], ids=str)
def test_directions_where_the_weight_is_zero_are_arbitrary_and_do_not_matter(shape: tuple[int, int]) -> None:
    change, count = Dense(normal(*shape, seed=3)), min(shape)
    values = [3.0, 2.0] + [0.0] * (count - 2)
    base = spectrum_with(values, *shape)
    # Another basis of both null spaces, each turned as it likes.
    left = torch.linalg.svd(base.left[:, :2] @ base.left[:, :2].mT).U[:, 2:] @ orthonormal(shape[0] - 2, count - 2, 7)
    right = torch.linalg.svd(base.right[:, :2] @ base.right[:, :2].mT).U[:, 2:]
    right = right @ orthonormal(shape[1] - 2, count - 2, 8)
    other = Spectrum(torch.cat([base.left[:, :2], left], 1), base.values, torch.cat([base.right[:, :2], right], 1))
    torch.testing.assert_close(weight_of(other), weight_of(base))
    one, two = profiles_of(change, base), profiles_of(change, other)
    assert one.ties == (range(2, count),)
    assert one.retention[2:].tolist() == [0.0] * (count - 2)
    torch.testing.assert_close(one.signed_retention, two.signed_retention)
    torch.testing.assert_close(one.adaptation, two.adaptation)
    assert one.unseen_norm == pytest.approx(two.unseen_norm)
    whole = float(one.adaptation.square().sum()) + one.unseen_norm**2
    assert whole == pytest.approx(change.norm() ** 2)


def test_the_one_null_direction_of_a_square_weight_is_not_arbitrary() -> None:
    base = spectrum_with([2.0, 1.0, 0.0], 3, 3)
    change = Dense(normal(3, 3, seed=3))
    found = profiles_of(change, base)
    assert found.ties == ()
    assert_follows(found, change.dense(), base, 1e-12)


def test_on_a_zero_weight_no_direction_differs_from_another() -> None:
    change = Dense(normal(3, 5))
    found = profiles_of(change, spectrum_of(torch.zeros(3, 5, dtype=torch.float64)))
    assert found.retention.tolist() == [0, 0, 0]
    assert found.adaptation.tolist() == pytest.approx([change.norm() / 5**0.5] * 3)
    assert found.energy_seen_frac() == pytest.approx(3 / 5)


def test_a_base_in_half_precision_is_widened_before_it_is_decomposed() -> None:
    weight, change = normal(6, 6).bfloat16(), Dense(1e-3 * normal(6, 6, seed=1))
    found = profiles_of(change, spectrum_of(weight))
    exactly = profiles_of(change, spectrum_of(weight.double()))
    torch.testing.assert_close(found.adaptation.double(), exactly.adaptation, rtol=1e-5, atol=0)


def test_a_spectrum_of_another_shape_is_refused() -> None:
    with pytest.raises(IncompatibleUpdate) as caught:
        profiles_of(Dense(torch.ones(3, 4)), spectrum_of(normal(4, 3)))
    assert str(caught.value) == (
        "the change has shape (3, 4), the spectrum is that of a weight of shape (4, 3): take the spectrum of the "
        "weight that was changed"
    )


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_change_that_is_not_finite_is_refused(value: float) -> None:
    dense = torch.ones(3, 3).index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(value))
    for change in (Dense(dense), LowRank(dense, torch.ones(3, 3)), Sparse(torch.tensor([4]), dense[0, 1:2], (3, 3))):
        with pytest.raises(NotMeasurable) as caught:
            profiles_of(change, spectrum_of(normal(3, 3)))
        assert str(caught.value) == (
            "profiles of a change of shape (3, 3): it has entries that are not finite; take a checkpoint from before "
            "training diverged"
        )


def test_what_the_difference_of_two_products_cannot_say_is_said() -> None:
    """The public tool subtracts P(W1) - sigma in float32: 1e-7 where nothing changed, and noise under small updates."""
    weight = weight_with([10.0, 5.0, 2.0, 1.0, 0.5, 0.1], 6, 6).float()
    base = spectrum_of(weight)

    def publicly(tuned: Tensor) -> Tensor:
        return ((base.left * (tuned @ base.right)).sum(0) - base.values).abs()

    assert float(publicly(weight).max()) > 1e-8
    assert float(profiles_of(Dense(torch.zeros(6, 6)), base).retention.max()) == 0
    small = 1e-7 * normal(6, 6, seed=1)
    wanted = direction_by_direction(small, base)[0]
    found = profiles_of(Dense(small.float()), base).signed_retention
    assert found.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-13)
    assert publicly((weight + small).float())[0].item() != pytest.approx(abs(wanted[0]), rel=0.1)
