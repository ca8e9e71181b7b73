"""Numbers of a course against sets of positions, and over seeds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.report.analysis import analysed
from holdfast.report.isolation.readings import Drift, Reading, drifts_of

SIZE = 40
masks = st.lists(st.sets(st.integers(0, SIZE - 1)), min_size=1, max_size=6)


def reading(course_from, choices: list[set[int]], steps: list[int] | None = None) -> Reading:
    dense = np.zeros((len(choices), SIZE), dtype=bool)
    for row, chosen in zip(dense, choices, strict=True):
        row[list(chosen)] = True
    return Reading(course_from(list(dense), steps or [10 * place for place in range(len(choices))]))


@settings(deadline=None)
@given(masks)
def test_numbers_are_those_of_sets(course_from, choices: list[set[int]]) -> None:
    found = reading(course_from, choices)
    full = [chosen for chosen in choices if chosen]
    assert found.held_frac == len(choices[-1]) / SIZE
    assert found.held_params_frac == len(choices[-1]) / (2 * SIZE)
    gone = [len(a - b) / len(a) for a, b in pairwise(choices) if a]
    assert found.turnover_frac == (pytest.approx(np.median(gone)) if gone else None)
    if len(full) < 2:
        assert found.ends is found.ends_jaccard is found.ends_kept_frac is found.neighbour_jaccard is None
        return
    first, last = full[0], full[-1]
    assert found.ends_jaccard == len(first & last) / len(first | last)
    assert found.ends_kept_frac == pytest.approx(len(first & last) / len(first))
    beside = list(pairwise(full))
    assert found.neighbour_jaccard == pytest.approx(np.median([len(a & b) / len(a | b) for a, b in beside]))
    assert found.neighbour_kept_frac == pytest.approx(1 - np.median(gone))
    assert [share for _, share in found.of_the_first()] == pytest.approx([len(first & b) / len(first) for b in full])


def test_a_choice_after_an_empty_one_has_no_turnover_even_if_it_says_that_it_let_go_of_none(course) -> None:
    found = course("drift", sizes=[0, *[200] * 9])
    first, second, *rest = found.refreshes
    told = found.model_copy(update={"refreshes": (first, second.model_copy(update={"released": 0}), *rest)})
    assert [step for step, _ in Reading(told).turnovers()] == [each.step for each in rest]


def test_half_way_is_the_choice_nearest_to_the_middle_but_never_an_end(course_from) -> None:
    four = [{0, 1}, {1, 2}, {0, 2}, {3, 4}]
    assert reading(course_from, four[:2]).half_way is reading(course_from, four[:2]).half_kept_frac is None
    assert reading(course_from, four[:3]).half_way == (0, 1)
    found = reading(course_from, four, [0, 10, 40, 100])
    assert found.half_way == (0, 2) and found.half_kept_frac == pytest.approx(0.5)
    assert reading(course_from, four, [0, 1, 2, 100]).half_way == (0, 2)
    assert reading(course_from, [set(), *four[:3]]).half_way == (1, 2)


def test_distance_from_chance_counts_what_was_examined_only(course) -> None:
    whole = course("noise", choices=2)
    part = whole.model_copy(update={"examined": whole.eligible // 4})
    found, fewer = (Reading(each).above_chance_sd((0, 1)) for each in (whole, part))
    assert found > 10
    assert fewer == pytest.approx(found / 2, rel=1e-3)


def test_over_seeds_there_are_mean_least_and_largest(course) -> None:
    courses = {seed: course("drift", draw=seed) for seed in (4, 5, 6)}
    drift = Drift("epi", {seed: Reading(each) for seed, each in courses.items()})
    each = [Reading(found).ends_jaccard for found in courses.values()]
    found = drift.over(lambda reading: reading.ends_jaccard)
    assert (found.mean, found.ends, found.seeds) == (pytest.approx(np.mean(each)), (min(each), max(each)), 3)
    line = drift.line(Reading.turnovers)
    assert list(line) == [40 + 20 * place for place in range(9)]
    assert line[40].mean == pytest.approx(np.mean([next(Reading(c).turnovers())[1] for c in courses.values()]))


def test_the_training_that_is_drawn_is_the_first_of_those_with_the_most_choices(course) -> None:
    lengths = {7: 2, 8: 5, 9: 5}
    drift = Drift("epi", {seed: Reading(course("drift", choices=length)) for seed, length in lengths.items()})
    assert drift.shown_seed == 8 and drift.choices == 5
    assert drift.shown is drift.readings[8]


def test_entrants_that_hold_nothing_have_no_reading_and_failed_runs_leave_the_others(
    evidence, build, made, course
) -> None:
    drifts = drifts_of(analysed(evidence).points)
    assert [drift.name for drift in drifts] == ["epi", "noisy", "static", "random"]
    assert [list(drift.readings) for drift in drifts] == [[1, 2]] * 4
    failed = build({"epi": made(failure="out of memory"), "lora": made()})
    entrants = list(failed.entrants)
    runs = entrants[0].runs
    entrants[0] = entrants[0].model_copy(
        update={"runs": (runs[0].model_copy(update={"isolation": course("drift")}), *runs[1:])}
    )
    (drift,) = drifts_of(analysed(failed.model_copy(update={"entrants": tuple(entrants)})).points)
    assert list(drift.readings) == [1]


def test_courses_survive_the_comparison_on_disk(evidence) -> None:
    comparison = analysed(evidence)
    again = type(comparison).model_validate_json(comparison.model_dump_json())
    assert again == comparison
    assert again.point("epi").isolation[2] == evidence.entrants[1].runs[1].isolation
