"""Gain, forgetting and retention against loops over items, and what makes them undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import BadData, NotMeasurable, UnknownName
from holdfast.metrics import tradeoff
from holdfast.metrics.tradeoff import BASE, Benchmark, UnusableScores


def graded(name: str, role: str, base: object, **entrants: object) -> Benchmark:
    items = np.size(base)
    return Benchmark(name, role, base, {k: np.atleast_2d(v) for k, v in entrants.items()}, np.ones(items))


THREE = [
    graded("cant", "learn", [0, 0, 1, 0], lora=[[1, 1, 1, 0], [1, 0, 1, 1]], full=[1, 1, 1, 1]),
    graded("nq", "keep", [1, 1], lora=[[1, 0], [0, 0]], full=[0, 0]),
    graded("bbh", "keep", [1, 0, 1, 0], lora=[[1, 1, 1, 1], [1, 0, 1, 0]]),
]


def looped(benchmark: Benchmark, entrant: str) -> float:
    """The definition, item by item and seed by seed."""
    by_seed = []
    for scores in benchmark.entrants[entrant]:
        total = 0.0
        for score, at_base, weight in zip(scores, benchmark.base, benchmark.weights, strict=True):
            total += (score - at_base) * weight
        by_seed.append(total / sum(benchmark.weights))
    return sum(by_seed) / len(by_seed)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32))
def test_difference_agrees_with_a_loop_over_items_and_seeds(seeds: int, items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    benchmark = Benchmark(
        "texts", "keep", rng.normal(size=items), {"lora": rng.normal(size=(seeds, items))}, rng.integers(1, 99, items)
    )
    assert tradeoff.difference(benchmark, "lora") == pytest.approx(looped(benchmark, "lora"), abs=1e-12)


def test_gain_is_the_mean_difference_over_what_was_to_be_learnt() -> None:
    assert tradeoff.gain(THREE, "lora") == pytest.approx(0.5)


def test_forgetting_is_positive_when_scores_fall() -> None:
    assert tradeoff.forgetting([THREE[1]], "lora") == pytest.approx(0.75)


def test_benchmarks_weigh_the_same_whatever_their_number_of_items() -> None:
    assert tradeoff.forgetting(THREE, "lora") == pytest.approx((0.75 - 0.25) / 2)


def test_items_weigh_by_their_weights() -> None:
    texts = Benchmark("texts", "keep", [-2.0, -1.0], {"lora": [[-3.0, -1.0]]}, [30, 10])
    assert tradeoff.difference(texts, "lora") == pytest.approx(-0.75)


def test_a_missing_component_makes_the_mean_undefined_rather_than_a_mean_of_the_rest() -> None:
    with pytest.raises(NotMeasurable, match=r"^undefined: bbh missing for full$"):
        tradeoff.forgetting(THREE, "full")
    assert tradeoff.gain(THREE, "full") == pytest.approx(0.75)


def test_all_missing_components_are_named_at_once() -> None:
    with pytest.raises(NotMeasurable, match=r"^undefined: nq, bbh missing for full$"):
        tradeoff.forgetting([THREE[0], graded("nq", "keep", [1]), THREE[2]], "full")


def test_an_entrant_nobody_has_heard_of_is_unknown_and_not_merely_missing() -> None:
    with pytest.raises(UnknownName, match=r"unknown entrant 'lor': did you mean 'lora'\?"):
        tradeoff.gain(THREE, "lor")


def test_a_quantity_nobody_has_heard_of_is_unknown() -> None:
    with pytest.raises(UnknownName, match="unknown quantity 'bhb'"):
        tradeoff.estimate(THREE, "lora", "bhb")


def test_gain_without_anything_to_learn_is_undefined() -> None:
    with pytest.raises(NotMeasurable, match="gain needs a benchmark with the role 'learn'"):
        tradeoff.gain(THREE[1:], "lora")


def test_a_quantity_may_be_the_difference_on_one_benchmark() -> None:
    assert tradeoff.estimate(THREE, "lora", "nq") == tradeoff.difference(THREE[1], "lora")


def test_the_base_is_an_entrant_that_neither_gains_nor_forgets() -> None:
    assert tradeoff.entrants_of(THREE) == (BASE, "lora", "full")
    assert tradeoff.gain(THREE, BASE) == 0
    assert tradeoff.forgetting(THREE, BASE) == 0


def test_scores_are_the_place_of_an_entrant_on_the_axes() -> None:
    assert tradeoff.score(THREE, BASE, "learn") == pytest.approx(0.25)
    assert tradeoff.score(THREE, "lora", "learn") == pytest.approx(0.75)
    assert tradeoff.score(THREE, BASE, "keep") == pytest.approx(0.75)
    assert tradeoff.score(THREE, "lora", "keep") == pytest.approx((0.25 + 0.75) / 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 5))
def test_a_copy_of_the_base_has_its_place_to_the_last_bit(base: list[float], seeds: int) -> None:
    copied = [graded("a", "learn", base, copy=[base] * seeds), graded("b", "keep", base, copy=[base] * seeds)]
    assert tradeoff.score(copied, "copy", "learn") == tradeoff.score(copied, BASE, "learn")
    assert tradeoff.score(copied, "copy", "keep") == tradeoff.score(copied, BASE, "keep")


def test_the_mean_over_seeds_that_agree_is_exact() -> None:
    # Seven times this number, divided by seven, is another number.
    value = next(v for v in np.random.default_rng(0).random(10_000) if np.full(7, v).mean() != v)
    assert tradeoff.seed_mean(np.full(7, value)) == value


def test_item_shares_add_up_to_the_difference_of_two_entrants() -> None:
    shares = tradeoff.item_shares(THREE, "full", "lora", "gain")
    assert shares.shape == (4,)
    assert shares.sum() == pytest.approx(tradeoff.gain(THREE, "full") - tradeoff.gain(THREE, "lora"))
    assert tradeoff.item_shares(THREE, "lora", BASE, "forgetting").sum() == pytest.approx(0.25)


def test_retention_counts_only_what_lies_above_chance() -> None:
    quiz = graded("quiz", "keep", [1, 1, 1, 0], lora=[1, 1, 0, 0])
    assert tradeoff.retention_frac(quiz, "lora", chance_frac=0.25) == pytest.approx(0.5)
    assert tradeoff.retention_frac(quiz, "lora", chance_frac=0.0) == pytest.approx(2 / 3)
    assert tradeoff.retention_frac(quiz, BASE, chance_frac=0.25) == 1


@pytest.mark.parametrize("chance_frac", [0.75, 0.8])
def test_retention_of_nothing_is_undefined(chance_frac: float) -> None:
    quiz = graded("quiz", "keep", [1, 1, 1, 0], lora=[1, 1, 0, 0])
    with pytest.raises(NotMeasurable, match=r"retention on quiz is undefined: the base scores 0\.7500, not above"):
        tradeoff.retention_frac(quiz, "lora", chance_frac)


def test_rounding_does_not_lift_a_base_above_chance() -> None:
    quiz = graded("quiz", "keep", [0.1] * 3, lora=[0.2] * 3)
    with pytest.raises(NotMeasurable):
        tradeoff.retention_frac(quiz, "lora", chance_frac=np.nextafter(0.1, 0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base": [], "weights": [], "entrants": {}}, "at least one item, found shape \\(0,\\)"),
        ({"base": [[1.0, 0.0]]}, "one score an item and at least one item, found shape \\(1, 2\\)"),
        ({"base": [1.0, np.nan]}, "base has scores that are not finite"),
        ({"weights": [1.0]}, "weights need shape \\(2,\\), found \\(1,\\)"),
        ({"weights": [1.0, 0.0]}, "weights must be finite and above 0"),
        ({"weights": [1.0, np.inf]}, "weights must be finite and above 0"),
        ({"entrants": {"lora": [1.0, 0.0]}}, "'lora' needs shape \\(seeds, 2\\), found \\(2,\\)"),
        ({"entrants": {"lora": np.ones((2, 3))}}, "'lora' needs shape \\(seeds, 2\\), found \\(2, 3\\)"),
        ({"entrants": {"lora": np.ones((0, 2))}}, "'lora' needs shape \\(seeds, 2\\), found \\(0, 2\\)"),
        ({"entrants": {"lora": [[1.0, np.inf]]}}, "'lora' has scores that are not finite"),
        ({"entrants": {"base": [[1.0, 1.0]]}}, "'base' is the untouched base"),
        ({"role": "target"}, "the role is 'learn' or 'keep', found 'target'"),
        ({"name": "gain"}, "benchmark 'gain': the name is that of a quantity"),
    ],
)
def test_unusable_scores_are_refused_with_what_was_expected(changed: dict[str, object], message: str) -> None:
    sound = {"name": "nq", "role": "keep", "base": [1.0, 0.0], "entrants": {"lora": [[1.0, 1.0]]}, "weights": [1, 1]}
    Benchmark(**sound)
    with pytest.raises(UnusableScores, match=message):
        Benchmark(**{**sound, **changed})


def test_all_faults_of_a_benchmark_are_told_at_once() -> None:
    with pytest.raises(UnusableScores, match=r"weights must be.*'lora' has scores"):
        Benchmark("nq", "keep", [1.0], {"lora": [[np.nan]]}, [-1.0])


def test_unusable_scores_are_bad_data_and_a_value_error() -> None:
    assert issubclass(UnusableScores, BadData)
    assert issubclass(UnusableScores, ValueError)


def test_two_benchmarks_cannot_share_a_name() -> None:
    with pytest.raises(UnusableScores, match="different names, found nq, nq"):
        tradeoff.gain([THREE[1], THREE[1]], "lora")


def test_a_benchmark_keeps_its_own_copy_of_the_scores() -> None:
    mine = np.array([[1.0, 0.0]])
    benchmark = Benchmark("nq", "keep", [1.0, 1.0], {"lora": mine}, [1, 1])
    mine[:] = 0
    assert tradeoff.difference(benchmark, "lora") == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="read-only"):
        benchmark.base[0] = 0
