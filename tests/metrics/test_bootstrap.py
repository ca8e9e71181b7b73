"""The bootstrap against a loop over resamples, scipy, and simulated comparisons whose truth is known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from holdfast.core.errors import NotMeasurable, UnknownName
from holdfast.metrics import bootstrap
from holdfast.metrics.bootstrap import paired_interval, resample
from holdfast.metrics.interval import interval
from holdfast.metrics.tradeoff import BASE, Benchmark, UnusableScores, forgetting, gain


def graded(name: str, role: str, base: object, **entrants: object) -> Benchmark:
    items = np.size(base)
    return Benchmark(name, role, base, {k: np.atleast_2d(v) for k, v in entrants.items()}, np.ones(items))


def random_data(seed: int = 0, seeds: int = 3) -> list[Benchmark]:
    """One benchmark to learn and two to keep, with unequal weights, noise of items, of seeds, and of both."""
    rng = np.random.default_rng(seed)
    skill = {entrant: rng.normal(0, 0.3, (seeds, 1)) for entrant in ("lora", "full")}
    found = []
    for name, role, items in [("cant", "learn", 40), ("nq", "keep", 31), ("texts", "keep", 55)]:
        base = rng.normal(size=items)
        entrants = {k: base + shift + rng.normal(0, 0.5, (seeds, items)) for k, shift in skill.items()}
        found.append(Benchmark(name, role, base, entrants, rng.integers(1, 20, items)))
    return found


def test_every_draw_agrees_with_a_loop_over_resamples() -> None:
    data, count = random_data(), 25
    resamples = resample(data, resamples=count, seed=7)
    seeds_drawn = bootstrap._generator(7, "seeds", "lora").multinomial(3, [1 / 3] * 3, size=count)
    for benchmark in data:
        items = bootstrap._generator(7, "items", benchmark.name).integers(
            benchmark.base.size, size=(count, benchmark.base.size)
        )
        for draw in range(count):
            drawn = items[draw]
            weights = benchmark.weights[drawn]
            base = np.average(benchmark.base[drawn], weights=weights)
            by_seed = [np.average(scores[drawn], weights=weights) - base for scores in benchmark.entrants["lora"]]
            picked = np.average(by_seed, weights=seeds_drawn[draw])
            expected = np.mean(by_seed) + np.sqrt(3 / 2) * (picked - np.mean(by_seed))
            assert resamples.base_means[benchmark.name][draw] == pytest.approx(base)
            assert resamples.differences["lora", benchmark.name][draw] == pytest.approx(expected)


def test_gain_and_forgetting_are_combined_draw_by_draw() -> None:
    resamples = resample(random_data(), resamples=50)
    nq, texts = resamples.differences["full", "nq"], resamples.differences["full", "texts"]
    assert resamples.draws("full", "gain") == pytest.approx(resamples.differences["full", "cant"])
    assert resamples.draws("full", "forgetting") == pytest.approx(-(nq + texts) / 2)
    general = (resamples.base_means["nq"] + resamples.base_means["texts"]) / 2
    assert resamples.scores(BASE, "keep") == pytest.approx(general)
    assert resamples.scores("full", "keep") == pytest.approx(general - resamples.draws("full", "forgetting"))
    assert resamples.scores("full", "learn") - resamples.scores(BASE, "learn") == pytest.approx(
        resamples.draws("full", "gain")
    )


def test_estimates_are_those_of_the_data_as_they_are() -> None:
    data = random_data()
    resamples = resample(data, resamples=5)
    assert resamples.estimate("lora", "gain") == gain(data, "lora")
    assert resamples.estimate("lora", "forgetting") == forgetting(data, "lora")


def test_draws_centre_on_the_estimate() -> None:
    resamples = resample(random_data(), resamples=4_000)
    draws = resamples.draws("lora", "forgetting")
    assert draws.mean() == pytest.approx(resamples.estimate("lora", "forgetting"), abs=5 * draws.std() / 4_000**0.5)


def test_the_same_items_are_drawn_for_everybody_in_a_resample() -> None:
    # Entrant i scores on item i alone, so that its draws tell how often that item was drawn; the base is the first.
    items = 9
    entrants = {f"item {i}": row + np.eye(items)[0] for i, row in enumerate(np.eye(items))}
    quiz = graded("quiz", "learn", np.eye(items)[0], **entrants)
    resamples = resample([quiz], resamples=200)
    counts = np.array([resamples.draws(entrant, "gain") * items for entrant in entrants])
    assert counts == pytest.approx(np.round(counts))
    assert counts.sum(axis=0) == pytest.approx(np.full(200, items))
    assert resamples.base_means["quiz"] * items == pytest.approx(counts[0])
    assert len(np.unique(counts, axis=1).T) > 100


def test_what_makes_items_hard_for_everybody_cancels_out() -> None:
    hard = np.random.default_rng(0).normal(0, 100, 300)
    resamples = resample([graded("quiz", "learn", hard, lora=hard + 0.25)], resamples=100)
    assert resamples.base_means["quiz"].std() > 1
    assert resamples.draws("lora", "gain") == pytest.approx(np.full(100, 0.25))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(0, 2**32), st.integers(1, 4))
def test_equal_entrants_have_equal_draws_to_the_last_bit(items: int, seed: int, seeds: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.tile(rng.random(items), (seeds, 1))
    entrants = {"one": scores, "noise": rng.random((2, items)), "other": scores}
    data = [Benchmark("quiz", "learn", rng.random(items), entrants, rng.integers(1, 9, items))]
    resamples = resample(data, resamples=30, seed=seed)
    assert (resamples.draws("one", "gain") == resamples.draws("other", "gain")).all()


def test_a_copy_of_the_base_has_no_draw_but_zero() -> None:
    base = np.random.default_rng(1).random(50)
    resamples = resample([graded("quiz", "learn", base, copy=[base] * 3)], resamples=100)
    assert (resamples.draws("copy", "gain") == 0).all()
    assert paired_interval(resamples, "copy").spread == (0, 0)


def test_draws_do_not_depend_on_who_else_takes_part_nor_on_order() -> None:
    data = random_data()
    alone = [Benchmark(b.name, b.role, b.base, {"full": b.entrants["full"]}, b.weights) for b in reversed(data)]
    together, apart = resample(data, resamples=40), resample(alone, resamples=40)
    for quantity in ("gain", "forgetting"):
        assert apart.draws("full", quantity) == pytest.approx(together.draws("full", quantity), abs=1e-12)


def test_draws_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    first, again, other = (resample(random_data(), 20, seed).draws("lora", "gain") for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).all()


def test_draws_do_not_depend_on_how_many_are_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resample(random_data(), resamples=50)
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 31 * 7)
    parts = resample(random_data(), resamples=50)
    for entrant in ("lora", "full"):
        assert parts.draws(entrant, "forgetting") == pytest.approx(whole.draws(entrant, "forgetting"), abs=1e-12)


def test_memory_is_bounded_for_many_items() -> None:
    rng = np.random.default_rng(2)
    quiz = graded("quiz", "learn", rng.random(50_000), lora=rng.random(50_000))
    tracemalloc.start()
    resample([quiz], resamples=300)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All counts at once would take 120 MB three times over.
    assert peak_bytes < 80e6


def test_one_benchmark_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=80)
    tuned = base + rng.exponential(size=80) ** 2
    resamples = resample([graded("quiz", "learn", base, lora=tuned)])
    theirs = stats.bootstrap((tuned - base,), np.mean, n_resamples=10_000, method="BCa", rng=4)
    low, high = theirs.confidence_interval
    assert paired_interval(resamples, "lora").spread == pytest.approx((low, high), abs=0.04 * (high - low))
    assert resamples.draws("lora", "gain").std() == pytest.approx(theirs.standard_error, rel=0.03)


def test_a_mean_of_two_benchmarks_agrees_with_scipy() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.exponential(size=40) ** 2, rng.normal(1, 1, 90)
    data = [graded("a", "keep", np.zeros(40), lora=first), graded("b", "keep", np.zeros(90), lora=second)]
    theirs = stats.bootstrap(
        (first, second), lambda x, y, axis: -(x.mean(axis) + y.mean(axis)) / 2, n_resamples=10_000, method="BCa", rng=6
    )
    low, high = theirs.confidence_interval
    mine = paired_interval(resample(data), "lora", quantity="forgetting")
    assert mine.spread == pytest.approx((low, high), abs=0.04 * (high - low))


def test_intervals_are_percentiles_when_a_benchmark_is_small() -> None:
    rng = np.random.default_rng(7)
    skewed = rng.exponential(size=40) ** 3
    large, small = (
        graded("large", "learn", np.zeros(40), lora=skewed),
        graded("small", "learn", np.zeros(29), lora=skewed[:29]),
    )
    for data, is_percentile in [([large], False), ([small], True), ([large, small], True)]:
        resamples = resample(data, resamples=2_000)
        percentiles = interval(resamples.draws("lora", "gain"), resamples.estimate("lora", "gain"))
        assert (paired_interval(resamples, "lora").spread == percentiles) is is_percentile


def test_contrast_of_two_entrants_is_the_difference_of_their_draws() -> None:
    resamples = resample(random_data())
    contrast = paired_interval(resamples, "full", "lora", "forgetting")
    draws = resamples.draws("full", "forgetting") - resamples.draws("lora", "forgetting")
    assert contrast.value == resamples.estimate("full", "forgetting") - resamples.estimate("lora", "forgetting")
    assert contrast.spread == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.1)
    turned = paired_interval(resamples, "lora", "full", "forgetting")
    assert (-turned.spread.high, -turned.spread.low) == pytest.approx(contrast.spread, abs=1e-9)


def test_a_contrast_with_the_base_is_the_quantity_itself() -> None:
    resamples = resample(random_data(), resamples=100)
    assert paired_interval(resamples, "full", BASE, "gain").value == resamples.estimate("full", "gain")
    assert (resamples.draws(BASE, "forgetting") == 0).all()


def test_one_item_gives_a_point() -> None:
    resamples = resample([graded("quiz", "learn", [0.2], lora=[0.7])], resamples=10)
    contrast = paired_interval(resamples, "lora")
    assert contrast.spread == pytest.approx((0.5, 0.5))
    assert contrast.spread.low == contrast.spread.high


def test_one_seed_is_told_and_not_resampled() -> None:
    rng = np.random.default_rng(8)
    quiz = graded("quiz", "learn", rng.random(50), one=rng.random(50), three=rng.random((3, 50)))
    resamples = resample([quiz], resamples=100)
    assert resamples.seed_noise_included == {BASE: False, "one": False, "three": True}
    included = {
        pair: paired_interval(resamples, *pair).seed_noise_included
        for pair in [("one", BASE), ("three", BASE), ("three", "one"), (BASE, "three"), (BASE, BASE)]
    }
    assert included == {
        ("one", BASE): False,
        ("three", BASE): True,
        ("three", "one"): False,
        (BASE, "three"): True,
        (BASE, BASE): False,
    }


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_variance_over_seeds_is_that_of_a_mean_of_seeds(seeds: int) -> None:
    # Every item is moved alike, so that seeds are the only noise; unscaled, the variance would be (S - 1) / S of this.
    means = np.random.default_rng(seeds).normal(size=seeds)
    quiz = graded("quiz", "learn", np.zeros(4), lora=np.tile(means[:, np.newaxis], 4))
    draws = resample([quiz], resamples=40_000).draws("lora", "gain")
    assert draws.var() == pytest.approx(means.var(ddof=1) / seeds, rel=0.05)
    assert draws.mean() == pytest.approx(means.mean(), abs=5 * draws.std() / 200)


def test_scaled_seed_variance_is_right_on_average_over_many_trainings() -> None:
    # 600 trainings of three seeds with deviation 1: the mean of three varies by 1/3, and 2/9 would be the fault.
    rng = np.random.default_rng(9)
    entrants = {f"training {i}": np.tile(rng.normal(size=(3, 1)), 2) for i in range(600)}
    resamples = resample([Benchmark("quiz", "learn", np.zeros(2), entrants, np.ones(2))], resamples=400)
    variance = np.mean([resamples.draws(entrant, "gain").var() for entrant in entrants])
    assert variance == pytest.approx(1 / 3, rel=0.12)


def test_a_seed_is_one_model_on_all_benchmarks() -> None:
    # The seeds that learn most forget most: gain and forgetting must move together.
    means = np.array([[0.0], [0.3], [0.9]])
    data = [graded("a", "learn", np.zeros(3), lora=means + np.zeros(3)),
            graded("b", "keep", np.zeros(5), lora=-means + np.zeros(5))]  # fmt: skip
    resamples = resample(data, resamples=100)
    assert resamples.draws("lora", "gain").std() > 0.1
    assert resamples.draws("lora", "gain") == pytest.approx(resamples.draws("lora", "forgetting"))


def test_seeds_of_different_trainings_are_drawn_apart_and_those_of_one_training_together() -> None:
    means = np.array([[0.0], [0.3], [0.9]]) + np.zeros(4)
    quiz = graded("quiz", "learn", np.zeros(4), lora=means, rewound=means + 0.1)
    apart = resample([quiz], resamples=200)
    together = resample([quiz], resamples=200, trainings={"rewound": "lora"})
    assert (apart.draws("rewound", "gain") - apart.draws("lora", "gain")).std() > 0.1
    assert together.draws("rewound", "gain") - together.draws("lora", "gain") == pytest.approx(np.full(200, 0.1))


def test_an_entrant_that_lacks_a_benchmark_keeps_what_is_defined() -> None:
    data = [graded("cant", "learn", [0, 1], lora=[1, 1]), graded("nq", "keep", [1, 1])]
    resamples = resample(data, resamples=10)
    assert resamples.draws("lora", "gain").shape == (10,)
    with pytest.raises(NotMeasurable, match="undefined: nq missing for lora"):
        resamples.draws("lora", "forgetting")
    with pytest.raises(NotMeasurable, match="undefined: nq missing for lora"):
        paired_interval(resamples, "lora", quantity="nq")
    with pytest.raises(UnknownName, match="unknown entrant 'lorra'"):
        resamples.draws("lorra", "gain")


def test_seeds_that_differ_in_number_between_benchmarks_are_refused() -> None:
    data = [graded("cant", "learn", [0], lora=[[1], [1]]), graded("nq", "keep", [1], lora=[[1]])]
    with pytest.raises(UnusableScores, match=r"benchmark 'nq': 'lora' has 1 seeds, and elsewhere .* has 2"):
        resample(data)


def test_nothing_to_resample_is_refused() -> None:
    with pytest.raises(UnusableScores, match="there is no benchmark"):
        resample([])
    with pytest.raises(ValueError, match="at least one resample is needed, asked for 0"):
        resample(random_data(), resamples=0)


def correlated(rng: np.random.Generator, items: int = 500) -> Benchmark:
    """Scores of a base and an entrant with correlation 0.8 and the same mean."""
    base, own = rng.normal(size=(2, items))
    return graded("quiz", "learn", base, lora=0.8 * base + 0.6 * own)


def coverage(runs: int, seed: int) -> float:
    """Share of runs in which the interval holds the true difference, which is 0."""
    rng = np.random.default_rng(seed)
    spreads = [paired_interval(resample([correlated(rng)], 1_000, seed=run), "lora").spread for run in range(runs)]
    return float(np.mean([spread.low <= 0 <= spread.high for spread in spreads]))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    # 300 runs: 95 % +- 3.5 points is 2.8 standard errors, a false alarm in 1 of 200 draws of the seed.
    assert coverage(300, seed=10) == pytest.approx(0.95, abs=0.035)


@pytest.mark.slow
def test_the_interval_holds_the_truth_in_93_to_97_of_100_runs() -> None:
    assert 0.93 <= coverage(2_000, seed=11) <= 0.97


def test_the_paired_interval_is_narrower_than_the_unpaired_one() -> None:
    rng = np.random.default_rng(12)
    for run in range(20):
        quiz = correlated(rng)
        one, other = resample([quiz], 1_000, seed=run), resample([quiz], 1_000, seed=run + 1_000)
        unpaired = np.quantile(one.scores("lora", "learn") - other.scores(BASE, "learn"), [0.025, 0.975])
        paired = paired_interval(one, "lora").spread
        # The ratio for correlation r is sqrt(1 - r), here 0.45.
        assert 0.38 < (paired.high - paired.low) / (unpaired[1] - unpaired[0]) < 0.53


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "least"), [(3, 0.86), (5, 0.89), (10, 0.91)])
def test_the_interval_over_seeds_that_differ_comes_near_its_level(seeds: int, least: float) -> None:
    # Half the variance is the items', half the seeds'; few seeds leave the interval too narrow, as documented.
    rng = np.random.default_rng(13)
    held = []
    for run in range(1_000):
        base, own = rng.normal(size=(2, 200))
        tuned = base + own + rng.normal(0, np.sqrt(seeds / 200), (seeds, 1))
        spread = paired_interval(resample([graded("quiz", "learn", base, lora=tuned)], 1_000, run), "lora").spread
        held.append(spread.low <= 0 <= spread.high)
    assert least <= np.mean(held) <= 0.97
