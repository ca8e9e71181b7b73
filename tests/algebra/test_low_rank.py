"""A product of two factors answers without being formed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.delta import Dense, Scaled
from holdfast.algebra.low_rank import LowRank, as_low_rank

sizes = st.integers(1, 9)


def factors(outputs: int, rank: int, inputs: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    left = torch.randn(outputs, rank, generator=draw, dtype=torch.float64)
    return left, torch.randn(rank, inputs, generator=draw, dtype=torch.float64)


@given(sizes, st.integers(0, 12), sizes, st.integers(0, 1000))
def test_low_rank_has_the_singular_values_of_its_dense_form(outputs: int, rank: int, inputs: int, seed: int) -> None:
    left, right = factors(outputs, rank, inputs, seed)
    found, wanted = LowRank(left, right).singular_values(), torch.linalg.svdvals(left @ right)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12 * (1 + float(wanted.max())))


@given(sizes, st.integers(0, 12), sizes, st.integers(0, 1000))
def test_low_rank_has_the_norm_of_its_dense_form(outputs: int, rank: int, inputs: int, seed: int) -> None:
    left, right = factors(outputs, rank, inputs, seed)
    assert LowRank(left, right).norm() == pytest.approx(float((left @ right).norm()), rel=1e-12, abs=1e-13)


@given(st.integers(1, 4), st.integers(0, 1000))
def test_no_more_singular_values_than_its_rank_are_above_0(rank: int, seed: int) -> None:
    values = LowRank(*factors(7, rank, 8, seed)).singular_values()
    assert int((values > 1e-10).sum()) == rank
    assert bool((values[rank:] == 0).all())


def test_a_change_of_rank_0_is_zero() -> None:
    change = LowRank(torch.empty(3, 0), torch.empty(0, 5))
    assert change.shape == (3, 5)
    assert torch.equal(change.dense(), torch.zeros(3, 5))
    assert torch.equal(change.singular_values(), torch.zeros(3))
    assert torch.equal(change.times(torch.ones(2, 5)), torch.zeros(2, 3))
    assert change.norm() == 0.0


def test_cancelling_factors_are_of_norm_0() -> None:
    left, right = factors(6, 2, 5, 0)
    change = LowRank(torch.cat([left, -left], dim=1), torch.cat([right, right]))
    assert change.norm() < 1e-14 * float((left @ right).norm()) * 100


def test_the_product_is_never_formed_to_answer_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    change = LowRank(*factors(300, 2, 400, 0))
    monkeypatch.setattr(LowRank, "dense", lambda self: pytest.fail("the product was formed"))
    change.norm(), change.singular_values(), change.times(torch.ones(400)), change.to("cpu")
    change.times_left(torch.ones(300)), change.factors(), change.in_memory(), change.device


def test_factors_that_do_not_meet_are_refused() -> None:
    with pytest.raises(ValueError, match=r"factors of shapes \(3, 2\) and \(4, 5\) do not meet"):
        LowRank(torch.ones(3, 2), torch.ones(4, 5))


@pytest.mark.parametrize(("rank", "kept"), [(0, True), (4, True), (5, False)])
def test_factors_are_kept_as_long_as_their_product_is_not_smaller(rank: int, kept: bool) -> None:
    left, right = factors(4, rank, 9, 0)
    found = as_low_rank(Scaled(2.0, LowRank(left, right)))
    assert (found is not None) == kept
    if found is not None:
        torch.testing.assert_close(found.dense(), 2.0 * left @ right)
    assert as_low_rank(Dense(left @ right)) is None
