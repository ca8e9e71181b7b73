"""What must not be trained on is found by its text, in tasks and in what the base already knows."""

from __future__ import annotations

import pytest

from holdfast.arena.sequence.leaks import without_leaks
from holdfast.core.errors import RecipeError
from holdfast.core.task import Example


def some(name: str, *texts: str) -> list[Example]:
    return [Example(f"{name}/{at}", text, " yes") for at, text in enumerate(texts)]


def test_examples_of_tasks_and_of_the_source_that_are_also_evaluated_are_left_out() -> None:
    training = {"one": some("one", "a", "b"), "other": some("other", "c", "d")}
    evaluated = {"one": some("asked", "e", "d"), "kept": some("kept", "f", "a")}
    found = without_leaks(training, some("known", "g", "f"), evaluated, drop=True)
    assert found == {"one/0", "other/1", "known/1"}


def test_they_are_refused_where_nothing_was_said_of_them() -> None:
    training = {"one": some("one", "a"), "other": some("other", "b")}
    with pytest.raises(RecipeError) as caught:
        without_leaks(training, some("known", "c"), {"kept": some("kept", "b", "c")}, drop=False)
    assert [fault.partition(" of its")[0] for fault in caught.value.faults] == ["tasks: 'other': 1", "source: 1"]


def test_a_task_without_examples_and_tasks_that_share_some_are_refused_at_once() -> None:
    training = {"none": [], "one": some("one", "a", "b"), "other": some("other", "c", "b")}
    with pytest.raises(RecipeError) as caught:
        without_leaks(training, [], {}, drop=True)
    assert caught.value.faults == (
        "tasks: 'none' has no training example",
        "tasks: 'one' and 'other' share 1 training examples, the first is 'b yes'; take them out of one, or what the "
        "later task learns is what the earlier taught",
    )
