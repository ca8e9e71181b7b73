"""Percentile and BCa intervals against scipy, their properties, and the draws that have no spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from holdfast.metrics.interval import Interval, acceleration_of, influence_of, interval
from holdfast.metrics.tradeoff import Benchmark, difference

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


def skewed(items: int, seed: int) -> Benchmark:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=items)
    return Benchmark("skewed", "learn", base, {"lora": [base + rng.exponential(size=items) ** 2]}, np.ones(items))


def test_percentiles_are_those_of_the_draws() -> None:
    draws = np.random.default_rng(0).permutation(np.arange(1001.0))
    assert interval(draws, 500.0, level=0.9) == pytest.approx((50, 950))


def test_bca_without_skew_or_bias_is_the_percentile_interval() -> None:
    draws = np.arange(1001.0)
    assert interval(draws, 500.0, acceleration=0.0) == pytest.approx(interval(draws, 500.0))


def test_bca_agrees_with_the_formula_of_efron() -> None:
    draws = np.random.default_rng(1).gamma(3.0, size=4_001)
    below, acceleration = (draws < 2.5).mean(), 0.07
    z0 = stats.norm.ppf(below)
    z = z0 + stats.norm.ppf([0.05, 0.95])
    expected = np.quantile(draws, stats.norm.cdf(z0 + z / (1 - acceleration * z)))
    assert interval(draws, 2.5, level=0.9, acceleration=acceleration) == pytest.approx(tuple(expected))


def test_bca_agrees_with_scipy_on_the_same_draws() -> None:
    sample = np.random.default_rng(2).exponential(size=60) ** 2
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=9_999, method="BCa", rng=3)
    zeros = np.zeros(60)
    influence = influence_of(Benchmark("one", "learn", zeros, {"lora": [sample]}, zeros + 1), "lora")
    draws = theirs.bootstrap_distribution
    exact = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    mine = interval(draws, sample.mean(), acceleration=exact)
    assert mine == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)
    # Taking the variance from the draws costs simulation noise only.
    assert acceleration_of(influence, draws) == pytest.approx(exact, rel=0.1)


def test_bca_shifts_the_interval_towards_the_long_tail() -> None:
    draws = np.random.default_rng(4).normal(size=5_000)
    plain, shifted = interval(draws, 0.0), interval(draws, 0.0, acceleration=0.1)
    assert shifted.low > plain.low
    assert shifted.high > plain.high


def test_influence_is_what_leaving_an_item_out_changes() -> None:
    rng = np.random.default_rng(5)
    base, tuned, weights = rng.normal(size=7), rng.normal(size=(2, 7)), rng.integers(1, 50, 7)
    benchmark = Benchmark("texts", "keep", base, {"lora": tuned}, weights)
    without = np.array(
        [
            difference(
                Benchmark("texts", "keep", base[kept], {"lora": tuned[:, kept]}, weights[kept]),
                "lora",
            )
            for kept in (np.arange(7) != item for item in range(7))
        ]
    )
    assert influence_of(benchmark, "lora") == pytest.approx((without.mean() - without) * 6 / 7)


def test_squared_influences_add_up_to_the_variance_of_the_mean() -> None:
    benchmark = skewed(50, seed=6)
    shift = benchmark.entrants["lora"][0] - benchmark.base
    assert (influence_of(benchmark, "lora") ** 2).sum() == pytest.approx(shift.var() / 50)


def test_rounding_does_not_break_the_ties_of_a_lattice() -> None:
    # Draws of graded answers lie on thirtieths; the estimate, summed otherwise, is off by rounding.
    draws = np.random.default_rng(7).binomial(30, 0.5, size=20_001) / 30
    exact, above, below = (interval(draws, 0.5 + off, acceleration=0.0) for off in (0.0, 1e-16, -1e-16))
    assert above == exact == below


@pytest.mark.parametrize("acceleration", [None, 0.0, 0.1])
def test_draws_that_agree_give_that_point(acceleration: float | None) -> None:
    assert interval(np.full(100, 0.3), 0.3, acceleration=acceleration) == (0.3, 0.3)
    assert interval(np.array([0.3]), 0.3, acceleration=acceleration) == (0.3, 0.3)


def test_draws_that_agree_have_no_acceleration() -> None:
    assert acceleration_of(np.zeros(40), np.full(100, 0.3)) == 0
    assert acceleration_of(np.full(40, 0.1), np.zeros(100)) == 0


def test_an_estimate_outside_its_draws_falls_back_to_percentiles() -> None:
    draws = np.random.default_rng(8).normal(size=999)
    assert interval(draws, 50.0, acceleration=0.1) == interval(draws, 50.0)


def test_a_correction_beyond_its_pole_falls_back_to_percentiles() -> None:
    draws = np.random.default_rng(9).normal(size=999)
    assert interval(draws, 0.0, acceleration=0.9) == interval(draws, 0.0)


@settings(deadline=None)
@given(
    arrays(np.float64, st.integers(1, 40), elements=finite),
    finite,
    st.floats(0.01, 0.999),
    st.none() | st.floats(-0.3, 0.3),
)
def test_ends_are_ordered_finite_and_within_the_draws(
    draws: np.ndarray, estimate: float, level: float, acceleration: float | None
) -> None:
    low, high = interval(draws, estimate, level, acceleration)
    assert draws.min() <= low <= high <= draws.max()


@given(arrays(np.float64, 50, elements=finite), st.floats(0.5, 0.9))
def test_a_higher_level_gives_a_wider_interval(draws: np.ndarray, level: float) -> None:
    narrow, wide = interval(draws, 0.0, level), interval(draws, 0.0, level + 0.09)
    slack = 1e-9 * np.abs(draws).max()
    assert wide.low <= narrow.low + slack
    assert wide.high >= narrow.high - slack


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_that_is_no_fraction_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"strictly within 0 and 1, such as 0.95, found {level}"):
        interval(np.zeros(3), 0.0, level)


@pytest.mark.parametrize("draws", [[], [0.0, np.nan]])
def test_draws_that_are_missing_or_not_finite_are_refused(draws: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one draw and finite draws"):
        interval(np.array(draws), 0.0)


@pytest.mark.parametrize(
    ("ends", "excluded"),
    [
        ((0.01, 0.02), True),
        ((-0.02, -0.01), True),
        ((-0.01, 0.02), False),
        ((0.0, 0.02), False),
        ((1e-17, 0.02), False),
        ((-0.02, -1e-17), False),
        ((0.0, 0.0), False),
    ],
)
def test_zero_is_excluded_only_by_more_than_rounding(ends: tuple[float, float], excluded: bool) -> None:
    assert Interval(*ends).excludes_zero is excluded
