"""P-values and classical intervals against scipy and brute force; false alarms in an arena where nobody differs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import paired_interval, resample
from holdfast.metrics.interval import interval
from holdfast.metrics.significance import bootstrap_p, holm, proportion_interval, seed_interval, sign_flip_p
from holdfast.metrics.tradeoff import BASE, Benchmark, item_shares

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_multiplies_by_the_number_of_hypotheses_still_standing() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(p_values, st.floats(0.001, 0.5))
def test_holm_rejects_what_its_step_down_procedure_rejects(raw: list[float], level: float) -> None:
    rejected = set()
    for step, index in enumerate(sorted(range(len(raw)), key=raw.__getitem__)):
        if raw[index] * (len(raw) - step) > level:
            break
        rejected.add(index)
    assert {i for i, adjusted in enumerate(holm(raw)) if adjusted <= level} == rejected


@given(p_values)
def test_holm_lies_between_the_raw_and_the_bonferroni_value(raw: list[float]) -> None:
    adjusted = holm(raw)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(1, np.array(raw) * len(raw))).all()


def test_holm_of_one_or_no_comparison_changes_nothing() -> None:
    assert holm([0.03]).tolist() == [0.03]
    assert holm([]).tolist() == []


@pytest.mark.parametrize("raw", [[0.5, np.nan], [-0.1], [1.1], [[0.1]]])
def test_holm_refuses_what_is_no_p_value(raw: list[float]) -> None:
    with pytest.raises(ValueError, match="p-values lie within 0 and 1"):
        holm(raw)


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=8))
def test_sign_flips_of_few_items_agree_with_trying_them_all(differences: list[float]) -> None:
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in product([1, -1], repeat=len(differences))]  # fmt: skip
    assert sign_flip_p(differences) == np.mean(np.array(sums) >= abs(sum(differences)))


def test_sign_flips_of_many_items_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.15, 1, 60), rng.normal(size=60)
    theirs = stats.permutation_test(
        (one, other), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=20_000, rng=1
    )
    # Four standard errors of the difference of two shares of 20,000.
    assert sign_flip_p(one - other, resamples=20_000) == pytest.approx(theirs.pvalue, abs=4 * 0.5 / 100)


def test_random_sign_flips_agree_with_exact_ones() -> None:
    differences = np.random.default_rng(2).normal(0.3, 1, 12)
    exact = sign_flip_p(differences)
    # Two items too small to matter push the number of items past what is tried exhaustively.
    assert sign_flip_p([*differences, 1e-15, 1e-15], resamples=40_000) == pytest.approx(exact, abs=0.01)


def test_items_without_a_difference_do_not_count() -> None:
    assert sign_flip_p([1, 1, 1, 1, -1, *[0] * 500]) == sign_flip_p([1, 1, 1, 1, -1])


def test_no_difference_at_all_has_p_one() -> None:
    assert sign_flip_p([0.0, 0.0]) == 1


def test_one_item_can_never_be_significant() -> None:
    assert sign_flip_p([5.0]) == 1


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8))
def test_sums_that_differ_by_rounding_alone_count_as_ties(tenths: list[int]) -> None:
    # Whole numbers add up exactly, their tenths do not.
    assert sign_flip_p(np.array(tenths) / 10) == sign_flip_p(tenths)


def test_the_smallest_p_of_random_flips_counts_the_data_themselves() -> None:
    assert sign_flip_p(np.ones(500), resamples=99) == pytest.approx(0.01)


def test_sign_flips_are_the_same_for_the_same_seed() -> None:
    differences = np.random.default_rng(3).normal(size=40)
    assert sign_flip_p(differences, 500, seed=4) == sign_flip_p(differences, 500, seed=4)
    assert sign_flip_p(differences, 500, seed=4) != sign_flip_p(differences, 500, seed=5)


def test_long_lists_are_flipped_in_parts_without_changing_the_size_of_the_test() -> None:
    differences = np.random.default_rng(4).normal(0.002, 1, 300_000)
    expected = 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    assert sign_flip_p(differences, resamples=400) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("differences", [[], [np.nan], [[1.0]]])
def test_sign_flips_refuse_what_has_no_sum(differences: list[float]) -> None:
    with pytest.raises(ValueError, match="sign flips need a list of finite differences"):
        sign_flip_p(differences)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(-2, 2))
def test_bootstrap_p_is_where_the_interval_begins_to_leave_out_zero(seed: int, shift: float) -> None:
    draws = np.random.default_rng(seed).normal(shift, 1, 1_999)
    p = bootstrap_p(draws)
    if p > 0.02:
        assert not interval(draws, shift, level=min(1 - p + 0.01, 0.9999)).excludes_zero
    if p < 0.98:
        assert interval(draws, shift, level=1 - p - 0.01).excludes_zero


def test_bootstrap_p_of_draws_at_zero_is_one() -> None:
    assert bootstrap_p(np.zeros(100)) == 1
    assert bootstrap_p(np.array([1e-17, 1e-17, 1.0])) == 1


def test_bootstrap_p_is_never_zero() -> None:
    assert bootstrap_p(np.ones(1_999)) == pytest.approx(0.001)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (3, 10), (633, 1319), (1, 1)])
def test_a_proportion_has_the_interval_of_the_beta_quantiles(successes: int, n: int) -> None:
    low = stats.beta.ppf(0.025, successes, n - successes + 1) if successes else 0
    high = stats.beta.ppf(0.975, successes + 1, n - successes) if successes < n else 1
    assert proportion_interval(successes, n) == pytest.approx((low, high))


def test_a_proportion_near_half_of_1319_items_is_known_to_three_points() -> None:
    low, high = proportion_interval(633, 1319)
    assert (high - low) / 2 == pytest.approx(0.027, abs=5e-4)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_an_impossible_proportion_is_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"found {successes} of {n}"):
        proportion_interval(successes, n)


def test_seed_interval_is_that_of_student() -> None:
    values = [0.1, 0.3, 0.2, 0.6]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert seed_interval(values, level=0.9) == pytest.approx(tuple(theirs))


def test_seeds_that_agree_give_that_point() -> None:
    assert seed_interval([0.25, 0.25]) == (0.25, 0.25)


def test_one_seed_says_nothing_of_others() -> None:
    with pytest.raises(NotMeasurable, match="an interval over seeds needs at least two, found 1"):
        seed_interval([0.3])


def test_seeds_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="one finite value a seed"):
        seed_interval([0.3, np.inf])


def null_arena(rng: np.random.Generator, items: int = 200, entrants: int = 10) -> list[Benchmark]:
    """Entrants that answer every item rightly as often as the base does, by luck of their own."""
    skill = rng.beta(2, 2, items)
    answers = (rng.random((entrants + 1, items)) < skill).astype(float)
    copies = {f"copy {i}": answers[[i]] for i in range(1, entrants + 1)}
    return [Benchmark("quiz", "learn", answers[0], copies, np.ones(items))]


def false_alarms(arenas: int, seed: int) -> dict[str, float]:
    """Share of arenas in which anybody at all is called different, and share of single intervals that leave out 0."""
    rng = np.random.default_rng(seed)
    flips, boots, single = 0, 0, 0
    for arena in range(arenas):
        data = null_arena(rng)
        copies = list(data[0].entrants)
        resamples = resample(data, resamples=1_000, seed=arena)
        by_flips = [sign_flip_p(item_shares(data, copy, BASE, "gain"), 1_000, seed=arena) for copy in copies]
        by_boots = [bootstrap_p(resamples.draws(copy, "gain")) for copy in copies]
        flips += holm(by_flips).min() <= 0.05
        boots += holm(by_boots).min() <= 0.05
        single += sum(paired_interval(resamples, copy).spread.excludes_zero for copy in copies)
    return {"flips": flips / arenas, "bootstrap": boots / arenas, "single": single / (10 * arenas)}


def test_in_a_null_arena_holm_keeps_false_alarms_within_five_percent() -> None:
    # 150 arenas of ten copies of the base; at a true rate of 5 %, more than 10.7 % is a chance of 1 in 500.
    rate = false_alarms(arenas=150, seed=1)
    assert rate["flips"] <= 0.05
    assert rate["bootstrap"] <= 0.107
    assert rate["single"] <= 0.107


@pytest.mark.slow
def test_in_many_null_arenas_holm_keeps_false_alarms_within_five_percent() -> None:
    # 2,000 arenas; at a true rate of 5 %, more than 6.5 % is a chance of 1 in 500.
    rate = false_alarms(arenas=2_000, seed=2)
    assert rate["flips"] <= 0.05
    assert rate["bootstrap"] <= 0.065
    assert rate["single"] <= 0.065


def test_a_real_difference_is_found_among_nine_copies() -> None:
    rng = np.random.default_rng(7)
    (quiz,) = null_arena(rng)
    better = np.maximum(quiz.base, rng.random(200) < 0.3)
    data = [Benchmark("quiz", "learn", quiz.base, {**quiz.entrants, "copy 10": better[np.newaxis]}, quiz.weights)]
    adjusted = holm([sign_flip_p(item_shares(data, copy, BASE, "gain")) for copy in data[0].entrants])
    assert [copy for copy, p in zip(data[0].entrants, adjusted, strict=True) if p <= 0.05] == ["copy 10"]
