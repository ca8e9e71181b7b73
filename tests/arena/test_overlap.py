"""A target that leaks into what is evaluated is refused, or its leaking examples are left out."""

from __future__ import annotations

import pytest

from holdfast.arena.overlap import check_overlap, overlap_of
from holdfast.core.errors import RecipeError
from holdfast.core.task import Example

TRAINING = [Example("t/1", "What is 1+1?", " 2"), Example("t/2", "Say “hi”.", " hi"), Example("t/3", "Go on", " no")]


def test_the_same_text_in_other_clothes_is_found() -> None:
    evaluated = {"keep": [Example("k/1", 'say "HI" .', "  hi"), Example("k/2", "What is 1+1?", " 3")]}
    overlap = overlap_of(TRAINING, evaluated)
    assert overlap.ids == {"t/2"}
    assert overlap.places == {"keep": 1}


def test_another_answer_to_the_same_question_is_no_overlap() -> None:
    assert not overlap_of(TRAINING, {"keep": [Example("k", "Go on", " yes")]}).ids


def test_overlap_is_refused_with_counts_and_an_example() -> None:
    overlap = overlap_of(TRAINING, {"keep": [Example("k", "Go on", " no")], "learn": [Example("l", "go on!", "no")]})
    with pytest.raises(RecipeError, match=r"1 of its training examples.*1 in 'keep', 1 in 'learn'.*'Go on no'"):
        check_overlap({"target": overlap}, drop=False)
    check_overlap({"target": overlap}, drop=True)
