"""The checker accepts every answer that obeys, and rejects every single violation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.task import SPLITS, Example
from holdfast.tasks.instructions import Instructions

# Written down a second time, apart from the module: what members and separators look like in an answer.
JOINTS = {"commas": ", ", "dashes": " - ", "slashes": " / ", "": ""}
MEMBERS = {
    "colours": "red blue green black white brown gold grey",
    "animals": "fox owl goat crow hare toad swan newt mule lynx",
    "instruments": "harp drum flute lute horn fiddle bell pipe organ viol",
    "rivers": "Sel Orm Tavy Lune Esk Dove Wharf Ribble Calder Brathay",
    "crafts": "potter weaver smith baker fisher mason tailor miller painter scribe tanner cooper",
    "herbs": "willow honey garlic sage mint clove thyme vinegar",
}
EXAMPLES = [example for split in SPLITS for example in Instructions().examples(split)]


@dataclass(frozen=True)
class Case:
    """An instruction, with a valid answer in parts."""

    example: Example
    words: tuple[str, ...]

    @property
    def joint(self) -> str:
        return JOINTS[str(self.example.facts["separator"])]

    @property
    def ending(self) -> str:
        closing = self.example.facts["closing"]
        return f". {closing}" if closing else ""

    def said(self, words: tuple[str, ...] | None = None, joint: str | None = None, ending: str | None = None) -> str:
        words = self.words if words is None else words
        return (self.joint if joint is None else joint).join(words) + (self.ending if ending is None else ending)


@st.composite
def cases(draw: st.DrawFn, where: Callable[[Example], bool] = lambda example: True) -> Case:
    example = draw(st.sampled_from([example for example in EXAMPLES if where(example)]))
    facts = example.facts
    allowed = [word for word in MEMBERS[str(facts["category"])].split() if word != facts["forbidden"]]
    words = draw(st.permutations(allowed))[: int(str(facts["count"]))]
    return Case(example, tuple(word.upper() if facts["capitals"] else word for word in words))


def grade(case: Case, response: str) -> float:
    return Instructions().grade(case.example, response)


@given(cases(), st.sampled_from(["", " ", "\n"]))
def test_any_members_in_any_order_are_accepted(case: Case, space: str) -> None:
    assert grade(case, f"{space}{case.said()}{space}") == 1


@given(cases(lambda example: bool(example.facts["forbidden"])))
def test_the_forbidden_member_is_rejected(case: Case) -> None:
    forbidden = str(case.example.facts["forbidden"])
    forbidden = forbidden.upper() if case.example.facts["capitals"] else forbidden
    assert grade(case, case.said((forbidden, *case.words[1:]))) == 0


@given(cases(lambda example: example.facts["count"] == 2))
def test_one_too_few_is_rejected(case: Case) -> None:
    assert grade(case, case.said(case.words[:1])) == 0


@given(cases(lambda example: example.facts["count"] == 2))
def test_one_named_twice_is_rejected(case: Case) -> None:
    assert grade(case, case.said((case.words[0], case.words[0]))) == 0


@given(cases())
def test_one_too_many_is_rejected(case: Case) -> None:
    facts = case.example.facts
    more = [word for word in MEMBERS[str(facts["category"])].split() if word != facts["forbidden"]]
    more = [word.upper() if facts["capitals"] else word for word in more]
    extra = next(word for word in more if word not in case.words)
    assert grade(case, case.said((*case.words, extra), joint=case.joint or ", ")) == 0


@given(cases(), st.sampled_from(["gravel", "fox fox", "", "the "]))
def test_what_is_not_of_the_category_is_rejected(case: Case, word: str) -> None:
    assert grade(case, case.said((word, *case.words[1:]))) == 0


@given(cases())
def test_the_wrong_case_is_rejected(case: Case) -> None:
    first = case.words[0]
    other = first.lower() if case.example.facts["capitals"] else first.upper()
    other = other.title() if case.example.facts["category"] == "rivers" and case.example.facts["capitals"] else other
    assert grade(case, case.said((other, *case.words[1:]))) == 0


@given(
    cases(lambda example: bool(example.facts["separator"])),
    st.sampled_from([", ", " - ", " / ", " ", ",", "-", "/", "; ", " and "]),
)
def test_the_wrong_separator_is_rejected(case: Case, joint: str) -> None:
    assert grade(case, case.said(joint=joint)) == float(joint == case.joint)


@given(cases(), st.sampled_from(["", ". done", ". over", ".", " done", ". DONE", ", done", ". done."]))
def test_the_wrong_ending_is_rejected(case: Case, ending: str) -> None:
    assert grade(case, case.said(ending=ending)) == float(ending == case.ending)


@given(cases())
def test_chatter_around_an_answer_is_rejected(case: Case) -> None:
    assert grade(case, f"Sure: {case.said()}") == 0
    assert grade(case, f"{case.said()} I hope this helps") == 0


@pytest.mark.parametrize("response", ["", " ", ".", ". done", ","])
def test_saying_nothing_is_rejected(response: str) -> None:
    assert {Instructions().grade(example, response) for example in EXAMPLES} == {0.0}


def test_the_prompt_says_every_constraint() -> None:
    for example in EXAMPLES:
        prompt, facts = str(example.prompt), example.facts
        assert ("one of the" in prompt, "two" in prompt) == (facts["count"] == 1, facts["count"] == 2)
        assert str(facts["category"]) in prompt
        assert ("in capitals" in prompt) == facts["capitals"]
        for said, fact in (("but not", "forbidden"), ("with", "separator"), ("then say", "closing")):
            assert (f"{said} {facts[fact]}" in prompt) if facts[fact] else (f" {said} " not in prompt)
