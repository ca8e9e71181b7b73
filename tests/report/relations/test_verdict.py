"""The verdict calls found what is found, and nothing else."""

from __future__ import annotations

import pytest

from holdfast.core.foretelling import SIZE
from holdfast.metrics.families import Permuted
from holdfast.report.relations.analysis import related
from holdfast.report.relations.phrases import found_given_size, found_with_forgetting
from holdfast.report.relations.verdict import caveats, headline, scope, verdict

CKA, RANK, DRIFT = "cka_biased/general", "stable_rank", "drift_relative/general"


def test_title_and_scope_name_what_was_compared(answer) -> None:
    assert headline(answer) == "Does geometry foretell what sums makes tiny forget?"
    assert scope(answer) == "18 checkpoints of 6 methods and 3 seeds"


def test_each_measure_stands_in_one_line_by_what_it_is_worth(answered, make) -> None:
    lines = verdict(
        answered(
            make(SIZE, 0.83),
            make(CKA, -0.94, held=-0.8, r_squared=0.81),
            make(DRIFT, 0.64, held=0.05),
            make(RANK, 0.37, 0.5, p=0.9),
            make("diagonal_frac", "undefined: the measure is 0 in all 36 checkpoints"),
        )
    )
    assert lines == (
        "Beyond what the size of the update tells, 1 of 4 measures goes with forgetting: CKA, biased, general "
        "(r -0.94 [-0.99, -0.89]).",
        "A method that was left out is foretold better than by the logarithm of its size (R² 0.50) by CKA, biased, "
        "general (R² 0.81).",
        "1 measure goes with forgetting as the size does, and nothing sure of it is left at a given size: relative "
        "drift, general (r +0.64 [+0.59, +0.69]).",
        "The size of the update itself goes with forgetting: r +0.83 [+0.78, +0.88].",
        "1 measure is not told apart from chance: stable rank.",
        "No correlation with diagonal share: the measure is 0 in all 36 checkpoints.",
        "No sign of r turns when any one method is left out.",
    )


def test_where_nothing_is_found_it_says_so(answered, make) -> None:
    lines = verdict(answered(make(SIZE, 0.1, 0.4, p=0.7), make(RANK, 0.37, 0.5, p=0.9), make(CKA, 0.2, 0.5, p=0.9)))
    assert lines[:3] == (
        "No measure was found to go with forgetting beyond what the size of the update tells.",
        "The size of the update itself is not told apart from chance: r +0.10 [-0.30, +0.50].",
        "2 measures are not told apart from chance: stable rank; CKA, biased, general.",
    )


@pytest.mark.parametrize(
    ("numbers", "with_forgetting", "beyond_size"),
    [
        ({}, True, True),
        ({"p": 0.05}, True, True),
        ({"p": 0.051}, False, False),
        ({"p": "undefined"}, False, False),
        ({"half": 1.0}, False, False),
        ({"r": "undefined"}, False, False),
        ({"held": 0.05}, True, False),
        ({"held": -0.8}, True, False),
        ({"held": "undefined"}, True, False),
    ],
)
def test_found_needs_p_and_interval_and_at_a_given_size_the_same_direction(
    make, numbers, with_forgetting, beyond_size
) -> None:
    relation = make(CKA, **{"r": 0.9, **numbers})
    assert found_with_forgetting(relation) is with_forgetting
    assert found_given_size(relation) is beyond_size


def test_a_size_that_is_the_same_everywhere_is_told(answered, make) -> None:
    lines = verdict(answered(make(SIZE, "undefined: the measure is 1 in all 9 checkpoints"), make(CKA)))
    assert "No correlation with the size of the update: the measure is 1 in all 9 checkpoints." in lines


def test_none_that_foretells_better_than_size_is_told(answered, make) -> None:
    lines = verdict(answered(make(SIZE), make(CKA, r_squared=0.5), make(DRIFT, r_squared=-2.4)))
    assert "None of them foretells a method that was left out better than the logarithm of its size (R² 0.50)." in lines


def test_better_than_a_size_that_foretells_nothing_is_no_praise(answered, make) -> None:
    lines = verdict(answered(make(SIZE, by_size=-0.5), make(CKA, r_squared=-0.1)))
    assert not any("is foretold better" in line for line in lines)


def test_a_sign_that_hangs_on_one_method_is_told_and_one_on_two_is_not(answered, make) -> None:
    lines = verdict(answered(make(SIZE), make(CKA, turned=[("lora",), ("full",)]), make(RANK, turned=[("a", "b")])))
    assert lines[-1] == (
        "The sign of r turns when a single method is left out: CKA, biased, general (without full or lora)."
    )


def test_of_very_many_measures_some_are_counted(answered, make) -> None:
    line = verdict(answered(make(SIZE), *(make(f"measure {number}", p=0.9) for number in range(12))))[-2]
    assert line.endswith("measure 7; measure 8; 3 more.")


def test_enough_methods_with_draws_need_no_caveat(answered, make) -> None:
    assert caveats(answered(make(SIZE), make(CKA))) == ()


def test_few_methods_are_indicative_and_could_not_show_anything(answered, make) -> None:
    few = {"families": 4, "permuted": Permuted(1 / 24, 24, exact=True), "noise": False}
    assert caveats(answered(make(SIZE, **few), make(CKA, **few))) == (
        "Fewer than five methods: the intervals are indicative only.",
        "With 4 methods no measure could be told apart from chance: their order has 24 permutations, so that p, "
        "adjusted for 2 measures, is at least 0.08.",
        "No draws of evaluation items were kept: the intervals do not cover other items.",
    )


def test_five_methods_can_show_something(answered, make) -> None:
    five = {"families": 5, "permuted": Permuted(1 / 120, 120, exact=True)}
    assert caveats(answered(*(make(f"m{number}", **five) for number in range(6)))) == ()
    assert len(caveats(answered(*(make(f"m{number}", **five) for number in range(7))))) == 1


def test_one_method_says_nothing_of_others(build) -> None:
    alone = related(build(families=1, seeds=9), 50)
    assert caveats(alone)[0] == (
        "All checkpoints are of one method: nothing here says how another would fare, and there is no p."
    )
    lines = verdict(alone)
    assert lines[0] == "No measure was found to go with forgetting beyond what the size of the update tells."
    assert not any("sign" in line for line in lines)
