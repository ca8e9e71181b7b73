"""A course of choices fits together, or is refused with what was found."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from holdfast.core.isolation import IsolationCourse, Refresh


def choice(step: int, held: int = 5) -> Refresh:
    return Refresh(step=step, held=held, seconds=0.1)


FIELDS = {
    "method": "epi",
    "eligible": 10,
    "params": 20,
    "examined": 10,
    "refreshes": (choice(1), choice(2)),
    "jaccard": ((1.0, 0.5), (0.5, 1.0)),
    "chance_jaccard": 1 / 3,
    "ages_steps": ((0, 2), (1, 3)),
    "shares": (),
    "extra_bytes": 0,
}


def test_a_course_is_the_same_after_reading_it_back() -> None:
    found = IsolationCourse(**FIELDS)
    assert IsolationCourse.model_validate_json(found.model_dump_json()) == found


def test_a_training_that_ended_before_its_first_choice_has_an_empty_course() -> None:
    found = IsolationCourse(**FIELDS | {"refreshes": (), "jaccard": (), "ages_steps": (), "chance_jaccard": None})
    assert found.refreshes == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refreshes": (choice(2), choice(2))}, "choices follow each other, found them at steps [2, 2]"),
        ({"ages_steps": ((3, 1), (1, 1))}, "ages ascend, found [3, 1]"),
        ({"refreshes": (choice(1, 11), choice(2))}, "found 11 held and 10 examined of 10"),
        ({"examined": 11}, "found 5 held and 11 examined of 10"),
        ({"jaccard": ((1.0,),)}, "overlaps are a row and a column a choice: found 2 choices and rows of [1]"),
        ({"jaccard": ((1.0, 1.5), (0.5, 1.0))}, "an overlap lies within 0 and 1, found 0.5 to 1.5"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        IsolationCourse(**FIELDS | changes)
