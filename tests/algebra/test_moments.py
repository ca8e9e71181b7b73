"""Moments of rows are those of all rows at once, however they are cut up and put together."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from twins import normal

from holdfast.algebra.moments import CHUNK_ROWS, Moments, all_finite, pooled, require_finite
from holdfast.algebra.row_drift import RowDrift
from holdfast.core.errors import NotMeasurable

seeds = st.integers(0, 1000)


def pair(rows: int, width: int, seed: int = 0, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    before = normal(rows, width, seed=seed)
    after = before + 0.5 * normal(rows, width, seed=seed + 5000)
    return before + offset, after - 2 * offset


def slow(before: Tensor, after: Tensor) -> dict[str, Tensor]:
    """All sums about the means, one pair of rows at a time."""
    sides = [rows.double() for rows in (before, after)]
    means = [rows.mean(0) for rows in sides]
    width = before.shape[1]
    sums = {
        "before": torch.zeros(width, width).double(),
        "after": torch.zeros(width, width).double(),
        "cross": torch.zeros(width, width).double(),
        "gap": torch.zeros(()).double(),
        "third": torch.zeros(2, 2, width).double(),
        "fourth": torch.zeros(2, 2).double(),
    }
    for one, other in zip(*sides, strict=True):
        u = (one - means[0], other - means[1])
        sums["before"] += torch.outer(u[0], u[0])
        sums["after"] += torch.outer(u[1], u[1])
        sums["cross"] += torch.outer(u[0], u[1])
        sums["gap"] += ((u[1] - u[0]) ** 2).sum()
        for a in (0, 1):
            for b in (0, 1):
                sums["third"][a, b] += (u[a] ** 2).sum() * u[b]
                sums["fourth"][a, b] += (u[a] ** 2).sum() * (u[b] ** 2).sum()
    return {"mean": torch.stack(means), **sums}


def assert_moments(found: Moments, before: Tensor, after: Tensor, rel: float = 1e-11) -> None:
    assert (found.rows, found.width) == tuple(before.shape)
    for name, wanted in slow(before, after).items():
        sums: Tensor = getattr(found, name)
        assert sums.dtype == torch.float64
        assert sums.shape == wanted.shape
        torch.testing.assert_close(sums, wanted, rtol=rel, atol=rel * (1 + float(wanted.abs().max())))


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (1, 5), (2, 3), (30, 4), (4, 30), (40, 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_moments_are_those_that_a_loop_over_rows_finds(rows: int, width: int, dtype: torch.dtype) -> None:
    before, after = (rows.to(dtype) for rows in pair(rows, width))
    assert_moments(Moments.of(before, after), before, after)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 6), seeds, st.sampled_from([0.0, 3.0]))
def test_the_sum_of_moments_of_parts_is_the_moments_of_all_rows(
    lengths: list[int], width: int, seed: int, offset: float
) -> None:
    before, after = pair(1 + sum(lengths), width, seed, offset)
    cuts = [1, *lengths]
    parts = [
        Moments.of(one, other) for one, other in zip(torch.split(before, cuts), torch.split(after, cuts), strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert_moments(total, before, after)
    assert_moments(pooled(parts), before, after)
    assert torch.equal(total.drift.chords, RowDrift.of(before, after).chords)


def test_adding_leaves_what_is_added_as_it_was() -> None:
    one, other = (Moments.of(*pair(6, 3, seed=seed)) for seed in (0, 1))
    before = one.before.clone(), one.third.clone(), one.fourth.clone()
    _ = one + other
    _ = pooled([one])
    assert all(torch.equal(*both) for both in zip(before, (one.before, one.third, one.fourth), strict=True))


def test_more_rows_than_are_widened_at_a_time_are_all_counted() -> None:
    before, after = pair(2 * CHUNK_ROWS + 7, 2)
    found = Moments.of(before.float(), after.float())
    assert_moments(found, before.float(), after.float(), rel=1e-9)
    assert len(found.drift.chords) == len(before)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(any), seeds)
def test_a_bootstrap_counts_each_part_as_often_as_it_was_drawn(copies: list[int], seed: int) -> None:
    pairs = [pair(3 + count, 4, seed=seed + 100 * count) for count in range(4)]
    drawn = [both for both, count in zip(pairs, copies, strict=True) for _ in range(count)]
    before, after = (torch.cat([both[side] for both in drawn]) for side in (0, 1))
    found = pooled([Moments.of(*both) for both in pairs], copies)
    assert_moments(found, before, after)
    wanted = RowDrift.of(before, after)
    torch.testing.assert_close(found.drift.chords.sort().values, wanted.chords.sort().values)


def test_rows_far_from_the_origin_lose_no_digits() -> None:
    before, after = pair(50, 3)
    near, far = (Moments.of(before + far, after + far) for far in (0.0, 2.0**20))
    for name in ("before", "after", "cross", "gap", "fourth"):
        torch.testing.assert_close(getattr(far, name), getattr(near, name), rtol=1e-8, atol=1e-7)
    halves = [slice(0, 20), slice(20, 50)]
    joined = pooled([Moments.of(before[part] + 2.0**20, after[part] + 2.0**20) for part in halves])
    torch.testing.assert_close(joined.fourth, near.fourth, rtol=1e-8, atol=0)


@given(st.integers(0, 69), st.sampled_from([math.inf, -math.inf, math.nan]))
def test_one_number_that_is_not_finite_is_enough(at: int, bad: float) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        rows = torch.full((10, 7), torch.finfo(dtype).max, dtype=dtype)
        assert all_finite(rows) and all_finite(-rows)
        rows.view(-1)[at] = bad
        assert not all_finite(rows)


def test_no_rows_are_finite() -> None:
    assert all_finite(torch.zeros(0, 4))


def test_activations_of_a_million_stay_finite() -> None:
    before, after = (1e6 * rows for rows in pair(20, 8))
    found = Moments.of(before.float(), after.float())
    assert all(bool(getattr(found, name).isfinite().all()) for name in ("before", "after", "cross", "third", "fourth"))


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("side", [0, 1])
def test_a_number_that_is_not_finite_is_refused_and_its_site_named(bad: float, side: int) -> None:
    sides = pair(5, 3)
    sides[side][2, 1] = sides[side][4, 0] = bad
    with pytest.raises(NotMeasurable) as caught:
        Moments.of(*sides, site="model.layers.18.mlp.down_proj")
    assert str(caught.value) == (
        "'model.layers.18.mlp.down_proj': 2 of 5 rows are not finite; "
        "run the model in float32 or bfloat16, or look for where it breaks"
    )


def test_half_precision_that_has_overflowed_is_refused() -> None:
    rows = torch.full((2, 2), 70_000.0).half()
    with pytest.raises(NotMeasurable, match="'rows': 2 of 2 rows are not finite"):
        require_finite(rows, "rows")


def test_rows_without_partners_are_refused() -> None:
    for other in (torch.ones(3, 5), torch.ones(2, 4)):
        with pytest.raises(ValueError, match=rf"rows of shapes \(3, 4\) and \({len(other)}, \d\) make no pairs"):
            Moments.of(torch.ones(3, 4), other)
    with pytest.raises(ValueError, match="make no pairs"):
        Moments.of(torch.ones(3), torch.ones(3))


def test_moments_of_other_widths_and_no_moments_at_all_are_not_pooled() -> None:
    narrow, wide = Moments.of(*pair(3, 2)), Moments.of(*pair(3, 4))
    with pytest.raises(ValueError, match=r"moments of widths \[2, 4\] cannot be pooled"):
        _ = narrow + wide
    for parts, copies in (([], None), ([narrow], [0])):
        with pytest.raises(ValueError, match="there are no moments to be pooled"):
            pooled(parts, copies)
    with pytest.raises(ValueError, match="zip"):
        pooled([narrow], [1, 1])


def test_no_rows_are_the_zero_of_addition() -> None:
    before, after = pair(7, 3)
    nothing = Moments.of(before[:0], after[:0])
    assert (nothing.rows, len(nothing.drift.chords)) == (0, 0)
    assert_moments(nothing + Moments.of(before, after), before, after)


def test_spread_is_the_sum_of_squared_distances_to_the_mean() -> None:
    before, after = pair(9, 4)
    found = Moments.of(before, after).spread()
    assert found == pytest.approx([float(((rows - rows.mean(0)) ** 2).sum()) for rows in (before, after)])


@pytest.mark.parametrize(("rows", "wording"), [(0, "0 rows cannot vary"), (1, "1 row cannot vary")])
def test_too_few_rows_do_not_vary(rows: int, wording: str) -> None:
    with pytest.raises(NotMeasurable) as caught:
        Moments.of(*pair(rows, 3)).spread()
    assert str(caught.value) == f"{wording}: two or more are needed"


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
@pytest.mark.parametrize(("side", "when"), [(0, "before"), (1, "after")])
def test_rows_that_are_all_the_same_do_not_vary_though_their_mean_is_rounded(
    value: float, side: int, when: str
) -> None:
    sides = list(pair(30, 4))
    sides[side] = torch.full((30, 4), value, dtype=torch.float64)
    halves = [Moments.of(sides[0][part], sides[1][part]) for part in (slice(0, 11), slice(11, 30))]
    for moments in (Moments.of(*sides), pooled(halves)):
        with pytest.raises(NotMeasurable) as caught:
            moments.spread()
        assert str(caught.value) == f"all 30 rows {when} the change are the same: nothing varies"


def test_rows_that_vary_little_do_vary() -> None:
    before, after = (1e-9 * rows + 1 for rows in pair(30, 4))
    assert min(Moments.of(before, after).spread()) > 0


@pytest.mark.parametrize(("rows", "few"), [(39, True), (40, False)])
def test_rows_are_few_below_ten_times_their_width(rows: int, few: bool) -> None:
    assert Moments.of(*pair(rows, 4)).few_rows is few


def test_directions_and_lengths_are_those_of_trigonometry() -> None:
    before, after = pair(40, 5, offset=0.2)
    cosines = torch.nn.functional.cosine_similarity(before, after, dim=1)
    angles = torch.arccos(cosines)
    ratios = after.norm(dim=1) / before.norm(dim=1)
    found = Moments.of(before, after).drift
    assert found.mean_cosine() == pytest.approx(float(cosines.mean()), rel=1e-12)
    assert found.cosine_drift() == pytest.approx(float((1 - cosines).mean()), rel=1e-10)
    assert found.angular_drift_rad() == pytest.approx(float(angles.mean()), rel=1e-10)
    assert found.median_angular_drift_rad() == pytest.approx(float(angles.quantile(0.5)), rel=1e-10)
    assert found.norm_ratio() == pytest.approx(float(ratios.mean()), rel=1e-12)
    assert found.norm_ratio_deviation() == pytest.approx(float(ratios.std(correction=0)), rel=1e-12)
    assert found.norm_drift() == pytest.approx(float(ratios.log().abs().mean()), rel=1e-12)


def test_the_median_of_an_even_and_of_an_odd_number_of_angles() -> None:
    angles = torch.tensor([0.4, 0.1, 0.2, 0.3], dtype=torch.float64)
    found = RowDrift(2 * torch.sin(angles / 2), torch.ones(4))
    assert found.median_angular_drift_rad() == pytest.approx(0.25)
    assert RowDrift(found.chords[:3], found.ratios[:3]).median_angular_drift_rad() == pytest.approx(0.2)


@given(st.floats(1e-12, 3.1), seeds)
def test_a_turn_of_any_size_is_found_to_many_digits(angle: float, seed: int) -> None:
    first, second = torch.linalg.qr(normal(6, 2, seed=seed)).Q.T
    turned = (math.cos(angle) * first + math.sin(angle) * second)[None]
    drift = RowDrift.of(3 * first[None], 7 * turned)
    # An arccosine would miss every angle below 1e-8.
    assert drift.angular_drift_rad() == pytest.approx(angle, rel=1e-6, abs=1e-15)
    assert drift.norm_ratio() == pytest.approx(7 / 3)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_rows_against_themselves_and_their_multiples_have_not_turned(factor: float) -> None:
    before, _ = pair(20, 6)
    drift = RowDrift.of(before.float(), factor * before.float())
    assert drift.angular_drift_rad() == drift.cosine_drift() == drift.median_angular_drift_rad() == 0
    assert drift.mean_cosine() == 1
    assert (drift.norm_ratio(), drift.norm_ratio_deviation()) == (factor, 0)
    assert drift.norm_drift() == pytest.approx(math.log(factor))


def test_opposite_rows_are_half_a_turn_apart() -> None:
    before, _ = pair(20, 6)
    drift = RowDrift.of(before, -before)
    assert drift.angular_drift_rad() == pytest.approx(math.pi)
    assert drift.mean_cosine() == pytest.approx(-1)


def test_rows_of_zero_have_no_direction_and_no_ratio_of_lengths() -> None:
    before, after = pair(4, 3)
    vanished, appeared = after.clone(), before.clone()
    vanished[1], appeared[2] = 0, 0
    gone, come = RowDrift.of(before, vanished), RowDrift.of(appeared, after)
    for drift, measure, reason in (
        (gone, RowDrift.mean_cosine, "1 of 4 rows are zero and have no direction"),
        (gone, RowDrift.norm_drift, "1 of 4 rows are zero after the change"),
        (come, RowDrift.median_angular_drift_rad, "1 of 4 rows are zero and have no direction"),
        (come, RowDrift.norm_ratio, "1 of 4 rows are zero before the change"),
        (RowDrift(torch.empty(0), torch.empty(0)), RowDrift.cosine_drift, "there are no rows to be compared"),
    ):
        with pytest.raises(NotMeasurable) as caught:
            measure(drift)
        assert str(caught.value) == reason
    assert gone.norm_ratio() == pytest.approx(float((vanished.norm(dim=1) / before.norm(dim=1)).mean()))
