"""Examples become rows in TRL's own columns."""

from __future__ import annotations

from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example
from holdfast.train.data import items_needed, training_rows


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
