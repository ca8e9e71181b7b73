"""Ranks of a change: from factors without the product, undefined for a zero update."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spectra import weight_with
from twins import MAKERS, Twins, normal

from holdfast.algebra.delta import Delta, Dense, Scaled, Sum
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rank import entropy_rank, singular_values, stable_rank, top_singular_values
from holdfast.algebra.sparse import Sparse
from holdfast.core.errors import NotMeasurable

falling = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9).map(lambda values: sorted(values, reverse=True))


def test_every_form_has_the_singular_values_of_its_dense_twin(twins: list[Twins]) -> None:
    for twin in twins:
        found, wanted = singular_values(twin.change), np.linalg.svd(twin.dense.numpy(), compute_uv=False)
        rounding = 1e-12 if found.dtype == torch.float64 else 3e-6
        np.testing.assert_allclose(found.double().numpy(), wanted, atol=rounding * max(1.0, 3 * float(wanted.max())))


def test_a_few_of_them_are_the_first_of_all(twins: list[Twins]) -> None:
    for twin in twins:
        count = min(2, *twin.change.shape)
        near = 1e-5 * max(1e-9, float(twin.dense.norm()))
        wanted = torch.linalg.svdvals(twin.dense)[:count]
        torch.testing.assert_close(top_singular_values(twin.change, count).double(), wanted, rtol=0, atol=near)


def test_ranks_of_every_form_are_those_of_its_dense_twin(twins: list[Twins]) -> None:
    for twin in twins:
        values = np.linalg.svd(twin.dense.numpy(), compute_uv=False)
        if not values.any():
            continue
        shares = [value / values.sum() for value in values if value > 1e-12]
        found = singular_values(twin.change)
        assert stable_rank(found) == pytest.approx((values**2).sum() / values[0] ** 2, rel=1e-5)
        assert stable_rank(found[:1], norm=twin.change.norm()) == pytest.approx(stable_rank(found), rel=1e-5)
        wanted = math.exp(-sum(share * math.log(share) for share in shares))
        assert entropy_rank(found) == pytest.approx(wanted, rel=1e-4)


@given(falling)
def test_ranks_lie_between_1_and_the_number_of_values(values: list[float]) -> None:
    drawn = torch.tensor(values, dtype=torch.float64)
    assert 1 <= stable_rank(drawn) <= len(values) * (1 + 1e-12)
    assert 1 - 1e-12 <= entropy_rank(drawn) <= len(values) * (1 + 1e-12)
    assert stable_rank(drawn) == pytest.approx(sum(value**2 for value in values) / values[0] ** 2)


@given(falling, st.sampled_from([1e-30, 1e-6, 1e4]))
def test_ranks_do_not_depend_on_the_size_of_the_update(values: list[float], scale: float) -> None:
    drawn = torch.tensor(values, dtype=torch.float64)
    assert stable_rank(scale * drawn) == pytest.approx(stable_rank(drawn))
    assert entropy_rank(scale * drawn) == pytest.approx(entropy_rank(drawn))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_values_have_ranks_of_their_number(count: int) -> None:
    values = torch.tensor([3.0] * count + [0.0] * 2)
    assert stable_rank(values) == pytest.approx(count)
    assert entropy_rank(values) == pytest.approx(count)


@pytest.mark.parametrize("update", [Dense(torch.zeros(3, 4)), LowRank(torch.zeros(3, 2), torch.ones(2, 4))])
def test_ranks_of_a_zero_update_are_undefined_and_not_0(update: Delta) -> None:
    values = singular_values(update)
    assert values.tolist() == [0, 0, 0]
    for measure, name in ((stable_rank, "stable rank"), (entropy_rank, "entropy rank")):
        with pytest.raises(NotMeasurable) as caught:
            measure(values)
        assert str(caught.value) == f"{name} of a zero update is undefined: nothing was changed"


def test_small_updates_do_not_round_to_zero() -> None:
    # The squares of these are below the smallest float32.
    values = singular_values(Dense(1e-30 * weight_with([2.0, 1.0], 4, 4).float()))
    assert stable_rank(values) == pytest.approx(1.25, rel=1e-4)


@pytest.mark.parametrize("form", ["rank 1", "rank 3", "scaled"])
def test_factors_are_never_multiplied_out(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change = MAKERS[form](10, 6, torch.float64).change
    both = Sum(change, Scaled(3.0, LowRank(normal(10, 1), normal(1, 6))))
    wanted = [torch.linalg.svdvals(each.dense()) for each in (change, both)]
    for kind in (LowRank, Scaled, Sum):
        monkeypatch.setattr(kind, "dense", lambda self: pytest.fail("the product was formed"))
    for each, values in zip((change, both), wanted, strict=True):
        torch.testing.assert_close(singular_values(each), values, rtol=0, atol=1e-13)
        torch.testing.assert_close(top_singular_values(each, 2), values[:2], rtol=0, atol=1e-13)


def test_of_a_large_change_a_few_values_are_iterated(monkeypatch: pytest.MonkeyPatch) -> None:
    change = Dense(normal(160, 200))
    wanted = torch.linalg.svdvals(change.dense())
    monkeypatch.setattr(torch.linalg, "svdvals", lambda _: pytest.fail("all values were worked out"))
    found = top_singular_values(change, 3, residual=1e-8)
    torch.testing.assert_close(found, wanted[:3], rtol=1e-10, atol=0)
    norm = change.norm()
    assert stable_rank(found[:1], norm=norm) == pytest.approx(float((wanted**2).sum() / wanted[0] ** 2), rel=1e-8)


@pytest.mark.parametrize("count", [0, 4])
def test_more_values_than_there_are_are_refused(count: int) -> None:
    for change in (Dense(torch.ones(3, 5)), LowRank(torch.ones(3, 1), torch.ones(1, 5))):
        with pytest.raises(NotMeasurable, match=rf"{count} singular values of what has shape \(3, 5\): it has 3"):
            top_singular_values(change, count)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_change_that_is_not_finite_is_refused(value: float) -> None:
    dense = torch.ones(3, 3).index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(value))
    for change in (Dense(dense), LowRank(dense, torch.ones(3, 3)), Sparse(torch.tensor([4]), dense[0, 1:2], (3, 3))):
        with pytest.raises(NotMeasurable) as caught:
            singular_values(change)
        assert str(caught.value) == (
            "singular values of a change of shape (3, 3): it has entries that are not finite; take a checkpoint from "
            "before training diverged"
        )


def test_a_vector_has_no_singular_values() -> None:
    with pytest.raises(NotMeasurable, match=r"singular values of a change of shape \(5,\): defined for matrices only"):
        singular_values(Dense(torch.ones(5)))
