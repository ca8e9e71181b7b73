"""Correlations and their intervals against scipy, least squares, loops over redraws, and simulated families."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest
from cohorts import DRIFT, FAMILIES, FORGOTTEN, FORGOTTEN_BESIDE_DRIFT, PUBLISHED, labels, simulate
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.cohort import Cohort, Redraws, redraw
from holdfast.metrics.correlation import (
    Undefined,
    estimate_pearson,
    estimate_spearman,
    fisher_interval,
    partial_spearman,
    pearson,
    spearman,
    value_or_reason,
)
from holdfast.metrics.tradeoff import UnusableScores
from holdfast.metrics.weighted_correlation import weighted_correlation, weighted_midranks

# Whole numbers tie often, and their affine maps are exact.
columns = st.integers(3, 12).flatmap(
    lambda size: st.tuples(*[arrays(np.float64, size, elements=st.integers(-9, 9).map(float))] * 3)
)


def varied(*given: np.ndarray) -> bool:
    return all(np.ptp(column) > 0 for column in given)


def random_cohort(seed: int = 0, sizes: tuple[int, ...] = (3, 1, 4, 2, 5), draws: int = 0) -> tuple[np.ndarray, Cohort]:
    rng = np.random.default_rng(seed)
    measure, outcome = simulate(rng, sizes, 0.5, 0.5)
    covariates = {"size": np.round(measure + rng.normal(size=measure.size)), "gain": rng.normal(size=measure.size)}
    noisy = outcome + rng.normal(0, 0.3, (draws, outcome.size)) if draws else None
    return measure, Cohort(outcome, labels(sizes), covariates, noisy)


def partial_by_least_squares(measure: np.ndarray, outcome: np.ndarray, *held: np.ndarray) -> float:
    """Correlation of the residuals of both ranks after a fit to the ranks that are held fixed."""
    design = np.stack([np.ones(len(measure)), *map(stats.rankdata, held)], axis=1)
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in map(stats.rankdata, (measure, outcome))]
    return float(stats.pearsonr(*left).statistic)


@given(columns)
def test_correlations_are_those_of_scipy(given: tuple[np.ndarray, ...]) -> None:
    measure, outcome, _ = given
    assume(varied(measure, outcome))
    assert pearson(measure, outcome) == pytest.approx(stats.pearsonr(measure, outcome).statistic, abs=1e-12)
    assert spearman(measure, outcome) == pytest.approx(stats.spearmanr(measure, outcome).statistic, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1.0, 1e200])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_correlations_keep_their_digits_for_tiny_and_huge_numbers(scale: float, offset: float) -> None:
    measure = scale * (np.array([0.2, 0.7, 0.1, 0.9]) + offset)
    outcome = np.array([1.0, 3.0, 2.0, 7.0])
    assert pearson(measure, outcome) == pytest.approx(stats.pearsonr([0.2, 0.7, 0.1, 0.9], outcome)[0], rel=1e-8)
    assert spearman(measure, outcome) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("measure", "outcome", "left_out", "r"),
    [
        (PUBLISHED["procrustes"], FORGOTTEN, (), 0.964),
        (PUBLISHED["procrustes"], FORGOTTEN, ("PiSSA",), 0.892),
        (PUBLISHED["procrustes"], FORGOTTEN, ("PiSSA", "OFT"), -0.701),
        (PUBLISHED["cka"], FORGOTTEN, (), -0.969),
        (PUBLISHED["cka"], FORGOTTEN, ("PiSSA",), -0.974),
        (PUBLISHED["cka"], FORGOTTEN, ("PiSSA", "OFT"), 0.739),
        (PUBLISHED["gram"], FORGOTTEN, (), 0.951),
        (PUBLISHED["gram"], FORGOTTEN, ("PiSSA",), 0.999),
        (PUBLISHED["gram"], FORGOTTEN, ("PiSSA", "OFT"), 0.911),
        (DRIFT, FORGOTTEN_BESIDE_DRIFT, (), 0.944),
        (DRIFT, FORGOTTEN_BESIDE_DRIFT, ("PiSSA",), -0.967),
    ],
)
def test_published_family_means_correlate_as_computed_by_hand(
    measure: np.ndarray, outcome: np.ndarray, left_out: tuple[str, ...], r: float
) -> None:
    kept = Cohort(outcome, FAMILIES).kept_without(left_out)
    assert round(pearson(measure[kept], outcome[kept]), 3) == r


@given(columns, st.sampled_from([-3.0, -1.0, 0.5, 4.0]), st.integers(-20, 20))
def test_pearson_minds_no_affine_map_but_its_sign(given: tuple[np.ndarray, ...], factor: float, shift: int) -> None:
    measure, outcome, _ = given
    assume(varied(measure, outcome))
    mapped = pearson(factor * measure + shift, outcome)
    assert mapped == pytest.approx(np.sign(factor) * pearson(measure, outcome), abs=1e-12)


@given(columns)
def test_spearman_minds_no_monotone_map_but_its_sign(given: tuple[np.ndarray, ...]) -> None:
    measure, outcome, size = given
    assume(varied(measure, outcome, size))
    expected = spearman(measure, outcome)
    assert spearman(np.exp(measure), outcome**3) == pytest.approx(expected, abs=1e-12)
    assert spearman(-np.exp(measure), outcome**3) == pytest.approx(-expected, abs=1e-12)


@given(columns, st.randoms(use_true_random=False))
def test_correlations_do_not_depend_on_the_order_of_checkpoints(given: tuple[np.ndarray, ...], random: Random) -> None:
    measure, outcome, size = given
    assume(varied(measure, outcome, size) and len(measure) > 3)
    order = list(range(len(measure)))
    random.shuffle(order)
    assert pearson(measure[order], outcome[order]) == pytest.approx(pearson(measure, outcome), abs=1e-12)
    assert spearman(measure[order], outcome[order]) == pytest.approx(spearman(measure, outcome), abs=1e-12)
    shuffled = value_or_reason(lambda: partial_spearman(measure[order], outcome[order], {"size": size[order]}))
    straight = value_or_reason(lambda: partial_spearman(measure, outcome, {"size": size}))
    assert shuffled == (straight if isinstance(straight, Undefined) else pytest.approx(straight, abs=1e-9))


@given(columns)
def test_correlations_are_symmetric_and_lie_within_one(given: tuple[np.ndarray, ...]) -> None:
    measure, outcome, _ = given
    assume(varied(measure, outcome))
    for correlate in (pearson, spearman):
        assert -1 <= correlate(measure, outcome) <= 1
        assert correlate(measure, outcome) == pytest.approx(correlate(outcome, measure), abs=1e-12)
        assert correlate(measure, measure) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_partial_spearman_correlates_the_residuals_of_least_squares(seed: int) -> None:
    measure, cohort = random_cohort(seed)
    size, gain = cohort.covariates.values()
    one = partial_spearman(measure, cohort.outcome, {"size": size})
    assert one == pytest.approx(partial_by_least_squares(measure, cohort.outcome, size))
    both = partial_spearman(measure, cohort.outcome, {"size": size, "gain": gain})
    assert both == pytest.approx(partial_by_least_squares(measure, cohort.outcome, size, gain))
    assert both == pytest.approx(partial_spearman(measure, cohort.outcome, {"gain": gain, "size": size}))


def test_partial_spearman_of_one_covariate_is_the_textbook_formula() -> None:
    measure, cohort = random_cohort(7)
    size = cohort.covariates["size"]
    xy, xz, yz = spearman(measure, cohort.outcome), spearman(measure, size), spearman(cohort.outcome, size)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(measure, cohort.outcome, {"size": size}) == pytest.approx(expected)


def test_a_covariate_told_twice_counts_once() -> None:
    measure, cohort = random_cohort(1)
    size = cohort.covariates["size"]
    twice = partial_spearman(measure, cohort.outcome, {"size": size, "size again": 2 * size})
    assert twice == pytest.approx(partial_spearman(measure, cohort.outcome, {"size": size}))


def test_nothing_held_fixed_is_the_plain_rho() -> None:
    measure, cohort = random_cohort(2)
    assert partial_spearman(measure, cohort.outcome, {}) == spearman(measure, cohort.outcome)


def test_a_proxy_for_size_loses_its_rho_given_size_and_a_true_cause_keeps_it() -> None:
    rng = np.random.default_rng(3)
    size = rng.normal(size=400)
    proxy, cause = size + 0.3 * rng.normal(size=400), rng.normal(size=400)
    outcome = size + cause + 0.3 * rng.normal(size=400)
    assert spearman(proxy, outcome) > 0.5
    # Four standard errors of a correlation of 400.
    assert abs(partial_spearman(proxy, outcome, {"size": size})) < 0.2
    assert partial_spearman(cause, outcome, {"size": size}) > 0.8


eight = arrays(np.float64, 8, elements=st.integers(0, 4).map(float))


@given(eight, eight)
def test_weighted_midranks_are_those_of_the_copies(values: np.ndarray, counts: np.ndarray) -> None:
    assume(counts.sum() > 0)
    copied = np.repeat(np.arange(8), counts.astype(int))
    expected = stats.rankdata(values[copied]) / copied.size
    assert weighted_midranks(values, counts)[copied] == pytest.approx(expected)


def test_ranks_within_the_slack_tie() -> None:
    values = np.array([0.3, 0.1 + 0.2, 1.0, 0.0])
    assert values[0] != values[1]
    assert weighted_midranks(values, np.ones(4), slack=1e-12).tolist() == [0.625, 0.625, 1.0, 0.25]
    assert weighted_midranks(values, np.ones(4)).tolist() == [0.5, 0.75, 1.0, 0.25]


def test_a_row_without_spread_has_no_correlation_and_leaves_the_others_alone() -> None:
    one, other, counts = (
        np.array([0.0, 0.5, 1.0]),
        np.array([0.0, 1.0, 0.3]),
        np.array([[2, 0, 0], [1, 1, 1], [0, 2, 1]]),
    )
    found = weighted_correlation([one, other], counts.astype(float))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(stats.pearsonr(one, other).statistic)
    assert found[2] == pytest.approx(-1)


def test_copies_of_one_value_do_not_vary_by_rounding() -> None:
    # Three times 0.1 divided by three is not 0.1.
    tenths, other = np.array([0.1, 0.1, 0.9]), np.array([0.0, 1.0, 0.3])
    assert np.isnan(weighted_correlation([tenths, other], np.array([2.0, 1.0, 0.0])))


def test_a_covariate_that_does_not_vary_in_a_redraw_leaves_it_undefined() -> None:
    one, other, held = np.array([[0.0, 0.5, 1.0, 0.2], [0.0, 1.0, 0.3, 0.1], [0.0, 0.0, 0.0, 1.0]])
    assert np.isnan(weighted_correlation([one, other, held], np.array([1.0, 1.0, 1.0, 0.0])))


def test_checkpoints_close_together_have_a_correlation_when_the_far_one_is_not_drawn() -> None:
    close, other = np.array([0.0, 1e-6, 2e-6, 1.0]), np.array([0.0, 0.2, 1.0, 0.3])
    found = weighted_correlation([close, other], np.array([1.0, 1.0, 1.0, 0.0]))
    assert found == pytest.approx(stats.pearsonr([0, 1, 2], [0.0, 0.2, 1.0]).statistic)


def looped(measure: np.ndarray, redraws: Redraws, outcomes: np.ndarray, held: tuple[str, ...]) -> list[list[float]]:
    """Pearson, Spearman and partial Spearman of every redraw, from copies of the checkpoints drawn."""
    found: list[list[float]] = [[], [], []]
    for counts, outcome in zip(redraws.counts, outcomes, strict=True):
        copied = np.repeat(np.arange(len(counts)), counts.astype(int))
        x, y = measure[copied], outcome[copied]
        covariates = [redraws.cohort.covariates[name][copied] for name in held]
        if not varied(x, y):
            continue
        found[0].append(stats.pearsonr(x, y).statistic)
        found[1].append(stats.spearmanr(x, y).statistic)
        if varied(*covariates) and len(np.unique(copied)) > 2 + len(held):
            found[2].append(partial_by_least_squares(x, y, *covariates))
    return found


@pytest.mark.parametrize("draws", [0, 7])
def test_intervals_agree_with_a_loop_over_copies(draws: int) -> None:
    measure, cohort = random_cohort(4, draws=draws)
    redraws = redraw(cohort, resamples=150, seed=5)
    outcomes = np.broadcast_to(redraws.outcome, redraws.counts.shape)
    by_pearson, by_spearman, by_partial = looped(measure, redraws, outcomes, ("size",))
    for found, estimate in [
        (by_pearson, estimate_pearson(measure, redraws)),
        (by_spearman, estimate_spearman(measure, redraws)),
        (by_partial, estimate_spearman(measure, redraws, given=("size",))),
    ]:
        assert estimate.spread == pytest.approx(tuple(np.quantile(found, [0.025, 0.975])), abs=1e-9)
        assert estimate.undefined_redraws == 150 - len(found)


def test_estimates_are_those_of_the_data_as_they_are() -> None:
    measure, cohort = random_cohort(6, draws=3)
    redraws = redraw(cohort, resamples=20)
    assert estimate_pearson(measure, redraws).value == pearson(measure, cohort.outcome)
    assert estimate_spearman(measure, redraws).value == spearman(measure, cohort.outcome)
    given = estimate_spearman(measure, redraws, given=("gain", "size")).value
    assert given == partial_spearman(measure, cohort.outcome, cohort.covariates)


def test_families_are_drawn_first_and_then_checkpoints_within_them() -> None:
    # A loop that draws labels one by one; four standard errors of the difference of two quantiles of 4,000 draws.
    measure, cohort = random_cohort(8, sizes=(3, 5, 2, 4, 4, 6))
    rng, found = np.random.default_rng(9), []
    members = list(cohort.members.values())
    while len(found) < 4_000:
        families = rng.integers(len(members), size=len(members))
        drawn = np.concatenate([rng.choice(members[family], size=members[family].size) for family in families])
        found.append(stats.pearsonr(measure[drawn], cohort.outcome[drawn]).statistic)
    spread = estimate_pearson(measure, redraw(cohort, resamples=4_000)).spread
    assert spread == pytest.approx(tuple(np.quantile(found, [0.025, 0.975])), abs=0.06)


def test_every_redraw_has_as_many_families_each_with_all_its_checkpoints() -> None:
    _, cohort = random_cohort(0)
    counts = redraw(cohort, resamples=500).counts
    times = np.stack([counts[:, indices].sum(axis=1) / indices.size for indices in cohort.members.values()])
    assert (times == np.round(times)).all()
    assert (times.sum(axis=0) == 5).all()
    assert (times == 0).any()
    assert len(np.unique(counts[:, cohort.members["family 04"]], axis=0)) > 100


def test_redraws_do_not_depend_on_the_order_of_families() -> None:
    measure, cohort = random_cohort(0)
    turned = np.argsort([-int(family[-1]) for family in cohort.families], kind="stable")
    other = Cohort(cohort.outcome[turned], [cohort.families[i] for i in turned])
    assert cohort.families != other.families
    first, second = redraw(cohort, resamples=300), redraw(other, resamples=300)
    assert (first.counts[:, turned] == second.counts).all()
    for estimate in (estimate_pearson, estimate_spearman):
        assert estimate(measure, first).spread == pytest.approx(estimate(measure[turned], second).spread)


def test_redraws_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    measure, cohort = random_cohort(0, draws=5)
    first, again, other = (estimate_spearman(measure, redraw(cohort, 300, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first.spread != other.spread


@given(st.sampled_from([-2.0, 0.25, 8.0]), st.integers(-5, 5))
def test_intervals_follow_maps_of_the_measure(factor: float, shift: int) -> None:
    measure, cohort = random_cohort(0)
    redraws = redraw(cohort, resamples=100)
    for estimate, mapped in ((estimate_pearson, factor * measure + shift), (estimate_spearman, factor * measure**3)):
        low, high = estimate(measure, redraws).spread
        expected = (low, high) if factor > 0 else (-high, -low)
        assert estimate(mapped, redraws).spread == pytest.approx(expected, abs=1e-9)


def test_outcome_draws_are_taken_whole_so_that_shared_noise_cancels() -> None:
    measure, cohort = random_cohort(0)
    common = np.random.default_rng(1).normal(0, 50, (200, 1))
    shared = Cohort(cohort.outcome, cohort.families, outcome_draws=cohort.outcome + common)
    assert estimate_pearson(measure, redraw(shared, 500)).spread == pytest.approx(
        estimate_pearson(measure, redraw(cohort, 500)).spread, abs=1e-9
    )


def test_noise_of_single_outcomes_widens_the_interval_towards_zero() -> None:
    measure, cohort = random_cohort(0, sizes=(4,) * 12)
    noise = np.random.default_rng(2).normal(0, 1.0, (400, 48))
    noisy = redraw(Cohort(cohort.outcome, cohort.families, outcome_draws=cohort.outcome + noise), 2_000)
    for estimate in (estimate_pearson, estimate_spearman):
        plain, wide = estimate(measure, redraw(cohort, 2_000)).spread, estimate(measure, noisy).spread
        assert wide.high - wide.low > 1.1 * (plain.high - plain.low)
        assert wide.low < plain.low - 0.1
        assert wide.high < plain.high


def test_every_outcome_draw_is_used() -> None:
    _, cohort = random_cohort(0, draws=7)
    rows = redraw(cohort, 300).outcome
    assert len(np.unique(rows, axis=0)) == 7
    unscaled = cohort.outcome_draws.min() + np.ptp(cohort.outcome_draws) * rows
    assert np.unique(np.round(unscaled, 9), axis=0) == pytest.approx(
        np.unique(np.round(cohort.outcome_draws, 9), axis=0)
    )


def test_redraws_in_which_nothing_varies_are_counted_and_left_out() -> None:
    # Two families, and the measure tells them apart and nothing else: half of all redraws hold one family twice.
    measure, outcome = np.repeat([0.0, 1.0], 4), np.random.default_rng(0).normal(size=8) + np.repeat([0.0, 3.0], 4)
    estimate = estimate_pearson(measure, redraw(Cohort(outcome, labels((4, 4))), resamples=4_000))
    # Five standard errors of a share of 4,000.
    assert estimate.undefined_redraws == pytest.approx(2_000, abs=160)
    assert 0 < estimate.spread.low < estimate.value < estimate.spread.high <= 1


def test_a_perfect_order_has_no_spread() -> None:
    order = np.arange(5.0)
    estimate = estimate_spearman(order, redraw(Cohort(order**2, FAMILIES), resamples=500))
    assert [estimate.value, *estimate.spread] == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("r", "checkpoints", "low", "high"),
    [(0.711, 10, 0.15, 0.93), (0.711, 15, 0.31, 0.90), (0.711, 20, 0.39, 0.88), (0.711, 30, 0.47, 0.85),
     (0.347, 20, -0.11, 0.68)],
)  # fmt: skip
def test_the_published_correlation_of_unknown_many_checkpoints_could_have_been_much_smaller(
    r: float, checkpoints: int, low: float, high: float
) -> None:
    assert tuple(round(end, 2) for end in fisher_interval(r, checkpoints)) == (low, high)


def test_fisher_interval_is_that_of_scipy() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 9))
    theirs = stats.pearsonr(one, other)
    assert fisher_interval(theirs.statistic, 9, 0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)))


def test_fisher_interval_of_a_perfect_line_is_a_point() -> None:
    assert fisher_interval(-1.0, 5) == (-1.0, -1.0)


def test_many_independent_normal_checkpoints_have_the_interval_of_fisher() -> None:
    rng = np.random.default_rng(1)
    measure, outcome = simulate(rng, (1,) * 400, 0.5, 0.5)
    estimate = estimate_pearson(measure, redraw(Cohort(outcome, labels((1,) * 400)), resamples=4_000))
    # The interval is 0.15 wide; the bootstrap's own width is off by 1 / sqrt(2 x 400) or 4 % at one standard error.
    assert estimate.spread == pytest.approx(fisher_interval(estimate.value, 400), abs=0.02)


def test_intervals_over_families_hold_the_truth_where_fisher_does_not() -> None:
    # 200 cohorts of 8 families with 4 checkpoints, which correlate by 0.6 between families and 0.2 within. Over 400
    # others it was 98 % for Pearson, 99 % for Spearman, 87 % for Fisher. A true rate of 95 % falls below 91 % in 1 of
    # 170 seeds, and one of 87 % reaches 93 % in 1 of 200.
    rng = np.random.default_rng(2)
    held = np.zeros((200, 3))
    for run in range(200):
        measure, outcome = simulate(rng, (4,) * 8, 0.6, 0.2)
        redraws = redraw(Cohort(outcome, labels((4,) * 8)), resamples=400, seed=run)
        by_pearson, by_spearman = estimate_pearson(measure, redraws), estimate_spearman(measure, redraws)
        # Spearman's rho of jointly normal numbers is 6 / pi asin(r / 2).
        for column, (spread, truth) in enumerate(
            [(by_pearson.spread, 0.4), (by_spearman.spread, 6 / np.pi * np.arcsin(0.2)),
             (fisher_interval(by_pearson.value, 32), 0.4)]
        ):  # fmt: skip
            held[run, column] = spread.low <= truth <= spread.high
    assert (held.mean(axis=0)[:2] >= 0.91).all()
    assert held.mean(axis=0)[2] < 0.93


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 8, 20])
def test_intervals_over_families_of_one_checkpoint_are_somewhat_narrow_for_pearson(count: int) -> None:
    # 1,000 cohorts, 95 % asked for. These gave 89, 88 and 94 % for Pearson; a share moves by 1 point a standard error.
    rng, held = np.random.default_rng(3), np.zeros((1_000, 2))
    for run in range(1_000):
        measure, outcome = simulate(rng, (1,) * count, 0.6, 0.6)
        redraws = redraw(Cohort(outcome, labels((1,) * count)), resamples=400, seed=run)
        for column, (estimate, truth) in enumerate(
            [(estimate_pearson, 0.6), (estimate_spearman, 6 / np.pi * np.arcsin(0.3))]
        ):
            low, high = estimate(measure, redraws).spread
            held[run, column] = low <= truth <= high
    assert 0.86 <= held[:, 0].mean() <= 0.96
    assert 0.93 <= held[:, 1].mean() <= 0.98


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


@pytest.mark.parametrize("checkpoints", [0, 1, 2])
def test_fewer_than_three_checkpoints_have_no_correlation(checkpoints: int) -> None:
    message = exactly(f"undefined: needs at least 3 checkpoints, found {checkpoints}")
    for correlate in (pearson, spearman):
        with pytest.raises(NotMeasurable, match=message):
            correlate(np.arange(checkpoints), np.arange(checkpoints))


@pytest.mark.parametrize("constant", [[0.5] * 4, [0.3, 0.1 + 0.2, 0.3, 0.3]])
def test_a_column_that_differs_by_rounding_alone_has_no_correlation(constant: list[float]) -> None:
    for correlate in (pearson, spearman):
        with pytest.raises(
            NotMeasurable, match=exactly(f"undefined: the measure is {constant[0]} in all 4 checkpoints")
        ):
            correlate(constant, [1.0, 2.0, 3.0, 5.0])
        with pytest.raises(
            NotMeasurable, match=exactly(f"undefined: the outcome is {constant[0]} in all 4 checkpoints")
        ):
            correlate([1.0, 2.0, 3.0, 5.0], constant)


def test_numbers_that_are_tiny_but_differ_are_no_constant() -> None:
    assert pearson([1e-15, 2e-15, 3e-15], [0, 1, 2]) == pytest.approx(1)


def test_covariates_that_leave_nothing_are_told() -> None:
    measure, outcome = np.array([1.0, 2.0, 4.0, 3.0, 6.0]), np.array([2.0, 1.0, 3.0, 5.0, 4.0])
    with pytest.raises(
        NotMeasurable,
        match=exactly("undefined given size: nothing is left of the order of the measure or of the outcome"),
    ):
        partial_spearman(measure, outcome, {"size": np.exp(measure)})
    with pytest.raises(NotMeasurable, match=exactly("undefined given size: size is 7 in all 5 checkpoints")):
        partial_spearman(measure, outcome, {"size": [7] * 5})
    with pytest.raises(
        NotMeasurable, match=exactly("undefined given a and b and c: needs at least 6 checkpoints, found 5")
    ):
        partial_spearman(measure, outcome, dict.fromkeys("abc", outcome))


def test_a_measure_that_varies_in_no_redraw_is_told() -> None:
    # One redraw that holds the first family alone, in which the measure is the same.
    measure, outcome = [0.0, 0.0, 0.0, 1.0], [1.0, 2.0, 3.0, 4.0]
    cohort = Cohort(np.array(outcome), labels((3, 1)))
    alone = next(r for r in (redraw(cohort, 1, seed) for seed in range(99)) if r.counts[0, 3] == 0)
    with pytest.raises(NotMeasurable, match=exactly("undefined: in none of 1 redraws do all columns vary")):
        estimate_pearson(np.array(measure), alone)


def test_numbers_that_are_not_finite_are_refused_by_name() -> None:
    with pytest.raises(
        UnusableScores,
        match=exactly(
            "the measure: 2 of 4 numbers are not finite, the first at index 1; leave these checkpoints out, for all "
            "measures alike"
        ),
    ):
        pearson([1, np.nan, 3, np.inf], [1, 2, 3, 4])
    with pytest.raises(UnusableScores, match=r"^the outcome: 1 of 3 numbers are not finite, the first at index 2"):
        spearman([1, 2, 3], [1, 2, np.nan])
    with pytest.raises(
        UnusableScores, match=exactly("the outcome: needs one number for each of 3 checkpoints, found shape (4,)")
    ):
        pearson([1, 2, 3], [1, 2, 3, 4])


def test_every_fault_of_a_cohort_is_told_at_once() -> None:
    with pytest.raises(UnusableScores) as refused:
        Cohort([1, np.nan, 3], ["a", "a", "b"], {"size": [1, 2], "mean": [1, 2, 3]}, [[1, 2]], seeds=[1])
    assert str(refused.value) == (
        "outcome: 1 of 3 numbers are not finite, the first at index 1; leave these checkpoints out, for all measures "
        "alike; covariate 'size': needs one number for each of 3 checkpoints, found shape (2,); covariate 'mean': the "
        "name is that of a prediction; give another; seeds: needs one for each of 3 checkpoints, found 1; outcome "
        "draws: need shape (draws, 3), found (1, 2)"
    )
    with pytest.raises(UnusableScores, match=exactly("outcome draws: some are not finite")):
        Cohort([1, 2], ["a", "b"], outcome_draws=[[1, np.inf]])
    with pytest.raises(UnusableScores, match=exactly("outcome draws: need shape (draws, 2), found (0, 2)")):
        Cohort([1, 2], ["a", "b"], outcome_draws=np.zeros((0, 2)))


def test_nothing_to_redraw_is_refused() -> None:
    with pytest.raises(NotMeasurable, match=exactly("undefined: there is no checkpoint")):
        redraw(Cohort([], []))
    with pytest.raises(ValueError, match=exactly("at least one resample is needed, asked for 0")):
        redraw(Cohort([1, 2, 3], ["a", "b", "c"]), resamples=0)


@pytest.mark.parametrize("r", [1.5, np.nan])
def test_fisher_refuses_what_is_no_correlation(r: float) -> None:
    with pytest.raises(ValueError, match=exactly(f"a correlation lies within -1 and 1, found {r}")):
        fisher_interval(r, 10)


def test_fisher_needs_four_checkpoints() -> None:
    with pytest.raises(
        NotMeasurable, match=exactly("undefined: Fisher's interval needs at least 4 checkpoints, found 3")
    ):
        fisher_interval(0.5, 3)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_level_that_is_no_fraction_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="a confidence level lies strictly within 0 and 1"):
        fisher_interval(0.5, 10, level)
    with pytest.raises(ValueError, match="a confidence level lies strictly within 0 and 1"):
        estimate_pearson(np.arange(5.0), redraw(Cohort(np.arange(5.0), FAMILIES), 10), level)
