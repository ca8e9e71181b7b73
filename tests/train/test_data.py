"""Examples become rows in TRL's own columns."""

from __future__ import annotations

import pytest

from holdfast.core.errors import BadData
from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example
from holdfast.train.data import evenly, items_needed, training_rows


def test_questions_become_prompt_and_completion() -> None:
    rows = training_rows([Example("a", "What?", " That.")])
    assert rows[0] == {"prompt": "What?", "completion": " That."}


def test_plain_texts_become_text() -> None:
    assert training_rows([Example("a", "", "Once upon a time")])[0] == {"text": "Once upon a time"}


def test_conversations_keep_their_turns() -> None:
    turns = ({"role": "user", "content": "Hi"},)
    row = training_rows([Example("a", turns, "Hello")])[0]
    assert row == {
        "prompt": [{"role": "user", "content": "Hi"}],
        "completion": [{"role": "assistant", "content": "Hello"}],
    }


def test_no_more_examples_are_prepared_than_are_seen() -> None:
    options = TrainingOptions(max_steps=10, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    assert items_needed(options) == 80
    assert items_needed(options.model_copy(update={"train_items": 7})) == 7
    assert items_needed(options.model_copy(update={"packing": True})) is None


def test_texts_among_questions_become_completions_of_nothing() -> None:
    rows = training_rows([Example("a", "What?", " That."), Example("b", "", "Once upon a time")])
    assert rows[1] == {"prompt": "", "completion": "Once upon a time"}


def test_conversations_and_plain_text_are_not_mixed() -> None:
    talk = Example("a", ({"role": "user", "content": "Hi"},), "Hello")
    with pytest.raises(BadData, match="some training examples are conversations and others plain text"):
        training_rows([talk, Example("b", "What?", " That.")])


def test_rows_say_which_task_they_belong_to_where_that_is_known() -> None:
    rows = training_rows([Example("a", "What?", " That."), Example("b", "Why?", " So.")], ["one", "other"])
    assert rows["task"] == ["one", "other"]
    assert rows["prompt"] == ["What?", "Why?"]


ONE, OTHER = ([Example(f"{name}/{i}", "?", "!") for i in range(count)] for name, count in (("one", 3), ("other", 5)))


def test_tasks_give_as_many_examples_each_in_turns_and_a_short_one_begins_again() -> None:
    examples, tasks = evenly({"one": ONE, "other": OTHER})
    assert [example.id for example in examples][::2] == ["one/0", "one/1", "one/2", "one/0", "one/1"]
    assert [example.id for example in examples][1::2] == [f"other/{i}" for i in range(5)]
    assert tasks == ["one", "other"] * 5


def test_one_task_gives_all_it_has_and_none_gives_nothing() -> None:
    assert evenly({"other": OTHER}) == (OTHER, ["other"] * 5)
    assert evenly({"one": [], "other": OTHER}) == ([], [])
    assert evenly({}) == ([], [])


def test_several_tasks_share_what_is_seen() -> None:
    options = TrainingOptions(max_steps=5, per_device_train_batch_size=1)
    assert items_needed(options, 2) == 3
    assert items_needed(options.model_copy(update={"train_items": 7}), 3) == 2
    assert items_needed(options.model_copy(update={"packing": True}), 3) is None
