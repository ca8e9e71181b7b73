"""What several tasks have comes one of each in turn."""

from __future__ import annotations

from small import batch

from holdfast.methods.turns import in_turns


def test_tasks_take_turns_and_one_that_has_no_more_is_passed_over() -> None:
    one, other = [batch(1), batch(2), batch(3)], [batch(4)]
    found = in_turns({"one": one, "other": iter(other)}, 9)
    assert [id(each) for each in found] == [id(each) for each in (one[0], other[0], one[1], one[2])]


def test_where_they_need_not_be_even_the_longer_goes_on_alone() -> None:
    assert in_turns({"one": ["a", "b", "c"], "other": ["v", "w", "x", "y", "z"]})[4:] == ["c", "x", "y", "z"]
    assert in_turns({}) == []


def test_no_more_are_taken_than_asked_for() -> None:
    assert len(in_turns({"one": [batch(1), batch(2)], "other": [batch(3)]}, 2)) == 2
    assert in_turns({}, 3) == in_turns({"one": []}, 3) == []
