"""Turning one set of rows onto another, from moments as from the rows themselves."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from twins import normal

from holdfast.algebra.moments import Moments
from holdfast.algebra.procrustes import align, best_rotation, held_out_residual
from holdfast.core.errors import NotMeasurable

seeds = st.integers(0, 1000)
SHAPES = ((12, 4), (40, 7), (5, 9), (2, 3), (30, 1))


def pair(rows: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    before = normal(rows, width, seed=seed) + 1.5
    return before, before @ (torch.eye(width) + 0.6 * normal(width, width, seed=seed + 1)) + 0.3 * normal(rows, width)


def rotation(width: int, seed: int = 0) -> Tensor:
    turned: Tensor = torch.linalg.qr(normal(width, width, seed=seed)).Q
    return turned


def centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(0)


def turned_onto(before: Tensor, after: Tensor) -> Tensor:
    """The rows after, turned onto those before, both about their means."""
    left, _, right = torch.linalg.svd(centred(after).T @ centred(before))
    found: Tensor = centred(after) @ (left @ right)
    return found


def share(difference: Tensor, whole: Tensor) -> float:
    return float(difference.norm() / whole.norm())


@pytest.mark.parametrize(("rows", "width"), SHAPES)
def test_residuals_are_those_of_rows_that_were_turned(rows: int, width: int) -> None:
    before, after = pair(rows, width)
    one, other, turned = centred(before), centred(after), turned_onto(before, after)
    scale = float((turned * one).sum() / (turned * turned).sum())
    found = align(Moments.of(before, after))
    assert found.raw_residual == pytest.approx(share(other - one, one), rel=1e-10)
    assert found.residual == pytest.approx(share(turned - one, one), rel=1e-7, abs=1e-7)
    assert found.improvement == pytest.approx(found.raw_residual - found.residual)
    assert found.best_scale == pytest.approx(scale, rel=1e-10)
    assert found.scaled_residual == pytest.approx(share(scale * turned - one, one), rel=1e-7, abs=1e-7)
    assert found.scaled_improvement == pytest.approx(found.raw_residual - found.scaled_residual)
    shapes = turned / turned.norm() - one / one.norm()
    assert found.shape_distance == pytest.approx(float(shapes.norm()), rel=1e-7, abs=1e-7)


@given(st.sampled_from(SHAPES), seeds, st.floats(0.01, 100))
def test_no_rotation_and_no_scale_do_better_than_the_best(shape: tuple[int, int], seed: int, factor: float) -> None:
    before, after = pair(*shape, seed=seed)
    found, one, other = align(Moments.of(before, after)), centred(before), centred(after)
    tried = other @ rotation(shape[1], seed=seed + 7)
    assert found.residual <= min(share(tried - one, one), found.raw_residual) + 1e-7
    assert found.scaled_residual <= min(share(factor * tried - one, one), found.residual, 1) + 1e-7
    assert 0 <= found.shape_distance <= math.sqrt(2)
    assert 0 <= found.improvement <= found.scaled_improvement + 1e-7


@given(st.sampled_from(SHAPES), seeds, st.floats(0.01, 100))
def test_the_shape_distance_minds_neither_side_nor_scale_nor_turn(
    shape: tuple[int, int], seed: int, factor: float
) -> None:
    before, after = pair(*shape, seed=seed)
    wanted = align(Moments.of(before, after)).shape_distance
    changed = factor * after @ rotation(shape[1], seed=seed) + 3
    assert align(Moments.of(after, before)).shape_distance == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert align(Moments.of(before, changed)).shape_distance == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("rows", "width"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rows_against_themselves_are_exactly_where_they_were(rows: int, width: int, dtype: torch.dtype) -> None:
    before = pair(rows, width)[0].to(dtype)
    found = align(Moments.of(before, before.clone()))
    assert found.raw_residual == found.residual == found.improvement == 0
    assert found.shape_distance == found.scaled_residual == 0
    assert found.best_scale == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("rows", "width"), SHAPES)
def test_turned_rows_are_turned_back(rows: int, width: int) -> None:
    before, _ = pair(rows, width)
    found = align(Moments.of(before, before @ rotation(width)))
    assert found.residual < 1e-7
    assert found.shape_distance < 1e-7
    assert found.best_scale == pytest.approx(1)
    assert width == 1 or found.raw_residual > 0.1


def test_rows_of_twice_the_length_have_the_same_shape() -> None:
    before, _ = pair(30, 5)
    found = align(Moments.of(before, 2 * before))
    assert found.raw_residual == pytest.approx(1)
    assert found.residual == pytest.approx(1)
    assert found.shape_distance < 1e-7
    assert found.scaled_residual < 1e-7
    assert found.best_scale == pytest.approx(0.5)


def test_the_residual_depends_on_which_side_is_which() -> None:
    before, after = pair(30, 5)
    one, other = align(Moments.of(before, 3 * after)), align(Moments.of(3 * after, before))
    assert one.residual > 1.5 * other.residual


def test_a_small_change_is_measured_to_many_digits() -> None:
    before, noise = normal(60, 5), normal(60, 5, seed=3)
    for size in (1e-3, 1e-5):
        after = before + size * noise
        found = align(Moments.of(before, after))
        assert found.raw_residual == pytest.approx(share(centred(size * noise), centred(before)), rel=1e-10)
        wanted = share(turned_onto(before, after) - centred(before), centred(before))
        assert found.residual == pytest.approx(wanted, rel=1e-4)


def test_unrelated_rows_overlap_by_chance_on_their_own_fit_and_not_on_held_out_rows() -> None:
    draws = [normal(2, 320, 40, seed=seed) for seed in range(8)]
    overfit = [align(Moments.of(one, other)).residual for one, other in draws]
    held_out = [held_out_residual(Moments.of(*both[:, :160]), Moments.of(*both[:, 160:])) for both in draws]
    # Unrelated rows are sqrt(2) apart; the fit at 8 rows for each unit of width pretends otherwise.
    assert sum(overfit) / 8 < 1.25
    assert sum(held_out) / 8 == pytest.approx(math.sqrt(2), abs=0.02)


@pytest.mark.parametrize(("rows", "width"), SHAPES)
def test_the_held_out_residual_is_that_of_held_out_rows_turned_by_the_fit(rows: int, width: int) -> None:
    fitted, tested = pair(rows, width), pair(rows + 3, width, seed=9)
    turn = best_rotation(Moments.of(*fitted))
    torch.testing.assert_close(turn @ turn.T, torch.eye(width, dtype=torch.float64))
    one, other = centred(tested[0]), centred(tested[1])
    found = held_out_residual(Moments.of(*fitted), Moments.of(*tested))
    assert found == pytest.approx(share(other @ turn - one, one), rel=1e-9)


@given(seeds)
def test_held_out_rows_that_were_turned_alike_are_turned_back(seed: int) -> None:
    turn = rotation(4, seed=seed)
    fitted, tested = pair(20, 4, seed=seed)[0], pair(9, 4, seed=seed + 1)[0]
    assert held_out_residual(Moments.of(fitted, fitted @ turn), Moments.of(tested, tested @ turn)) < 1e-6
    torch.testing.assert_close(best_rotation(Moments.of(fitted, fitted @ turn)), turn.T)


def test_directions_that_the_fit_never_saw_are_left_alone() -> None:
    # Three rows span two directions of nine about their mean; a rotation of the others would be made up.
    fitted, tested = pair(3, 9)[0], pair(20, 9, seed=5)[0]
    assert held_out_residual(Moments.of(fitted, fitted), Moments.of(tested, tested)) < 1e-6


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_cannot_be_aligned(rows: int) -> None:
    moments = Moments.of(torch.ones(rows, 3), torch.ones(rows, 3))
    for measure in (align, best_rotation):
        with pytest.raises(NotMeasurable, match="two or more are needed"):
            measure(moments)
    with pytest.raises(NotMeasurable, match="two or more are needed"):
        held_out_residual(Moments.of(*pair(5, 3)), moments)


def test_rows_that_do_not_vary_cannot_be_aligned() -> None:
    before, _ = pair(6, 3)
    with pytest.raises(NotMeasurable, match="all 6 rows after the change are the same: nothing varies"):
        align(Moments.of(before, torch.ones(6, 3)))
