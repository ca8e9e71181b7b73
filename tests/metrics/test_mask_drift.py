"""Overlaps, turnover, ages and chance on packed masks, against sets of positions and exact expectations."""

from __future__ import annotations

import re
from itertools import combinations
from math import comb, sqrt
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from holdfast.metrics import mask_drift
from holdfast.metrics.mask_drift import (
    above_chance_sd,
    ages_steps,
    chance_jaccard,
    chance_jaccard_within,
    jaccard_matrix,
    kept_frac,
    turnover_frac,
)


def packed(choices: list[set[int]], size: int) -> np.ndarray:
    dense = np.zeros((len(choices), size), dtype=bool)
    for row, chosen in zip(dense, choices, strict=True):
        row[list(chosen)] = True
    return np.packbits(dense, axis=1)


@st.composite
def histories(draw, least: int = 0) -> tuple[list[set[int]], int]:
    size = draw(st.integers(1, 70))
    choices = st.lists(st.sets(st.integers(0, size - 1)), min_size=least, max_size=6)
    return draw(choices), size


def looped_ages(choices: list[set[int]], steps: list[int], end: int) -> list[tuple[int, int]]:
    counts: dict[int, int] = {}
    for scalar in choices[-1]:
        since = len(choices) - 1
        while since > 0 and scalar in choices[since - 1]:
            since -= 1
        age = end - steps[since]
        counts[age] = counts.get(age, 0) + 1
    return sorted(counts.items())


@given(histories())
def test_overlaps_are_those_of_sets(history: tuple[list[set[int]], int]) -> None:
    choices, size = history
    wanted = [[len(a & b) / len(a | b) if a | b else None for b in choices] for a in choices]
    assert jaccard_matrix(packed(choices, size)) == wanted


@given(histories(least=2))
def test_turnover_is_that_of_sets(history: tuple[list[set[int]], int]) -> None:
    (before, after, *_), size = history
    rows = packed([before, after], size)
    assert turnover_frac(*rows) == (len(before - after) / len(before) if before else None)


@given(histories(least=1), st.lists(st.integers(1, 9), min_size=6, max_size=6), st.integers(0, 5))
def test_ages_are_those_of_a_walk_back_from_the_end(history, gaps: list[int], after: int) -> None:
    choices, size = history
    steps = np.cumsum(gaps)[: len(choices)].tolist()
    rows = packed(choices, size)
    assert ages_steps(rows, steps) == looped_ages(choices, steps, steps[-1])
    assert ages_steps(rows, steps, end_step=steps[-1] + after) == looped_ages(choices, steps, steps[-1] + after)


def test_a_scalar_that_came_back_counts_from_its_return() -> None:
    rows = packed([{0, 1}, {0}, {0, 1}, {0, 1, 2}], 3)
    assert ages_steps(rows, [10, 20, 30, 40]) == [(0, 1), (10, 1), (30, 1)]


def test_masks_longer_than_a_stretch_are_counted_to_their_end(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    choices = [set(np.flatnonzero(rng.random(203) < 0.3).tolist()) for _ in range(4)]
    monkeypatch.setattr(mask_drift, "BYTES_AT_ONCE", 5)
    assert jaccard_matrix(packed(choices, 203)) == [[len(a & b) / len(a | b) for b in choices] for a in choices]


def test_a_history_may_be_every_other_column_of_another() -> None:
    wide = packed([{0, 9, 17}, {9, 30}], 32)
    assert jaccard_matrix(wide[:, ::2]) == jaccard_matrix(wide[:, ::2].copy())


def test_no_choice_and_empty_choices_have_no_overlap_and_no_ages() -> None:
    none, empty = packed([], 9), packed([set(), set()], 9)
    assert jaccard_matrix(none) == [] and ages_steps(none, []) == []
    assert jaccard_matrix(empty) == [[None, None], [None, None]]
    assert turnover_frac(*empty) is None and ages_steps(empty, [1, 2]) == []
    assert jaccard_matrix(packed([set(), {1}], 9)) == [[None, 0.0], [0.0, 1.0]]


def test_forty_choices_of_four_million_scalars_are_a_matter_of_a_second() -> None:
    history = np.random.default_rng(0).integers(256, size=(40, 500_000), dtype=np.uint8)
    start = process_time()
    jaccard_matrix(history)
    ages_steps(history, range(40))
    assert process_time() - start < 1.5


@pytest.mark.parametrize(("chosen", "eligible"), [(1, 1), (1, 30), (3, 12), (12, 12), (7, 60), (40, 1000)])
def test_chance_is_the_exact_expectation_up_to_a_share_of_half_the_inverse_of_what_is_held(chosen, eligible) -> None:
    shared = np.arange(chosen + 1)
    chances = stats.hypergeom.pmf(shared, eligible, chosen, chosen)
    exact = float((chances * shared / (2 * chosen - shared)).sum())
    found = chance_jaccard(chosen, eligible)
    share = chosen / eligible
    assert found == pytest.approx(share / (2 - share))
    assert exact * (1 - 0.5 / chosen) - 1e-12 <= found <= exact + 1e-12


def test_the_expectation_over_all_pairs_of_choices_is_that_of_the_hypergeometric_distribution() -> None:
    choices = [set(chosen) for chosen in combinations(range(6), 2)]
    overlaps = jaccard_matrix(packed(choices, 6))
    shared = np.arange(3)
    exact = (stats.hypergeom.pmf(shared, 6, 2, 2) * shared / (4 - shared)).sum()
    assert np.mean(overlaps) == pytest.approx(exact)


def test_random_choices_that_lean_towards_a_part_overlap_as_much_as_is_foretold() -> None:
    rng, parts = np.random.default_rng(0), [(900, 3000), (60, 6000)]
    rows = [
        np.concatenate([rng.permutation(size) < held for held, size in parts])  # as many of every part, at random
        for _ in range(12)
    ]
    overlaps = np.array(jaccard_matrix(np.packbits(rows, axis=1)))[np.triu_indices(12, 1)]
    # Four standard errors of the mean over 66 pairs, which are all but independent.
    assert chance_jaccard_within(parts) == pytest.approx(overlaps.mean(), abs=4 * overlaps.std() / np.sqrt(66))
    assert chance_jaccard_within(parts) > chance_jaccard(960, 9000)


def test_parts_of_one_share_are_as_one() -> None:
    assert chance_jaccard_within([(5, 50), (7, 70), (0, 0)]) == pytest.approx(chance_jaccard(12, 120))


def test_nothing_held_has_no_chance_and_more_than_all_is_refused() -> None:
    assert chance_jaccard(0, 10) is None and chance_jaccard_within([]) is None
    with pytest.raises(ValueError, match=re.escape("0 to 10 of 10 scalars can be held, found 11")):
        chance_jaccard(11, 10)


@given(histories(least=2))
def test_what_is_kept_and_how_far_from_chance_follow_from_the_overlap(history) -> None:
    (before, after, *_), size = history
    overlap = jaccard_matrix(packed([before, after], size))[0][1]
    if not before or overlap is None:
        return
    assert kept_frac(overlap, len(before), len(after)) == pytest.approx(len(before & after) / len(before))
    found = above_chance_sd(overlap, len(before), len(after), size)
    shared = range(min(len(before), len(after)) + 1)
    chances = [comb(len(after), n) * comb(size - len(after), len(before) - n) / comb(size, len(before)) for n in shared]
    mean = sum(n * chance for n, chance in zip(shared, chances, strict=True))
    variance = sum((n - mean) ** 2 * chance for n, chance in zip(shared, chances, strict=True))
    if variance < 1e-12:
        assert found is None
    else:
        assert found == pytest.approx((len(before & after) - mean) / sqrt(variance), abs=1e-6)


def test_nothing_kept_is_more_than_all() -> None:
    assert kept_frac(1.0, 7, 7) == 1.0
    assert kept_frac(np.nextafter(0.5, 1), 5, 10) == 1.0


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32))
def test_random_choices_lie_about_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.packbits([rng.permutation(4000) < 200 for _ in range(2)], axis=1)
    found = above_chance_sd(jaccard_matrix(rows)[0][1], 200, 200, 4000)
    # False alarms: under one in a million for a count of mean 10, were it Gaussian; one in 30,000 as it is.
    assert abs(found) < 6


@pytest.mark.parametrize("history", [np.zeros((2, 3), bool), np.zeros(3, np.uint8)])
def test_what_is_no_matrix_of_bytes_is_refused(history) -> None:
    message = re.escape(f"masks are packed into a matrix of bytes, a row a choice, found {history.dtype} of shape")
    with pytest.raises(ValueError, match=message):
        jaccard_matrix(history)


def test_rows_of_other_lengths_and_steps_out_of_order_are_refused() -> None:
    rows = packed([{0}, {1}], 20)
    with pytest.raises(ValueError, match="two choices among the same scalars are needed, found 3 and 2 bytes"):
        turnover_frac(rows[0], rows[1][:2])
    with pytest.raises(ValueError, match="packed into a row of bytes"):
        turnover_frac(rows, rows)
    for steps in ([1], [2, 2], [3, 1]):
        with pytest.raises(ValueError, match=r"one step a choice is needed, ascending, found \[.*\] for 2 choices"):
            ages_steps(rows, steps)
    with pytest.raises(ValueError, match="the end lies at or after the last choice, at step 9, found 8"):
        ages_steps(rows, [1, 9], end_step=8)
