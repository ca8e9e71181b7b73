"""Answers in batches are the likeliest tokens one after the other, found by reading everything again every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.measure.answers import Answer, answers, end_tokens
from holdfast.measure.prompts import prompt_ids
from holdfast.models.base import Base
from holdfast.tasks.instructions import Instructions
from holdfast.tasks.recall import Recall


@torch.inference_mode()
def tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, example: Example, most: int, ends: Sequence[int] = ()
) -> list[int]:
    ids = list(prompt_ids(tokenizer, example))
    begun = len(ids)
    while len(ids) < begun + most and not (len(ids) > begun and ids[-1] in ends):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[begun:]


def slowly(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, example: Example, most: int, ends: Sequence[int] = (2,)
) -> Answer:
    said = tokens(model, tokenizer, example, most, ends)
    ended = said[-1] in ends
    return Answer(tokenizer.decode(said[: len(said) - ended], skip_special_tokens=True), truncated=not ended)


def common_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, questions: list[Example]) -> list[int]:
    """Tokens at which some answers end early, and others never do."""
    said = [tokens(model, tokenizer, question, 9) for question in questions]
    return [said[0][2], said[1][5]]


def test_answers_are_those_of_one_question_at_a_time(
    any_model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    ends = common_ends(any_model, letters, questions)
    wanted = [slowly(any_model, letters, question, 9, (2, *ends)) for question in questions]
    assert {answer.truncated for answer in wanted} == {True, False}
    assert len({len(answer.text) for answer in wanted}) > 2
    before, any_model.generation_config = any_model.generation_config, GenerationConfig(eos_token_id=ends)
    try:
        for sizes in ({}, {"max_rows": 1}, {"max_rows": 3}, {"max_tokens": 1}, {"max_tokens": 70}):
            assert answers(any_model, letters, questions, max_new_tokens=9, **sizes) == wanted, sizes
    finally:
        any_model.generation_config = before


@pytest.mark.parametrize("most", [1, 4])
def test_virtual_tokens_come_before_every_question(
    prompt_learner: Any, letters: Any, questions: list[Example], most: int
) -> None:
    found = answers(prompt_learner, letters, questions, max_new_tokens=most)
    assert found == [slowly(prompt_learner, letters, question, most) for question in questions]


def test_each_question_keeps_its_answer_whatever_the_order(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    found = answers(model, letters, questions, max_new_tokens=6)
    order = [3, 0, 6, 2, 5, 1, 4]
    assert answers(model, letters, [questions[i] for i in order], max_new_tokens=6) == [found[i] for i in order]
    assert len(set(found)) > 3


@pytest.mark.parametrize("task", [Instructions(), Recall()], ids=["instructions", "recall"])
def test_the_miniature_says_what_transformers_has_it_generate(miniature: Base, task: Any) -> None:
    asked = task.examples("test", 12)
    found = answers(miniature.model, miniature.tokenizer, asked, max_new_tokens=task.max_new_tokens)
    for example, answer in zip(asked, found, strict=True):
        given = miniature.tokenizer(example.prompt, return_tensors="pt")
        out = miniature.model.generate(**given, max_new_tokens=task.max_new_tokens, do_sample=False)
        ids = out[0, given["input_ids"].shape[1] :].tolist()
        assert answer == Answer(miniature.tokenizer.decode(ids, skip_special_tokens=True), truncated=ids[-1] != 2)


def test_a_conversation_is_answered_by_its_template(miniature: Base) -> None:
    asked = Recall().examples("test", 4)
    talks = [replace(example, prompt=({"role": "user", "content": example.prompt},)) for example in asked]
    found = answers(miniature.model, miniature.tokenizer, talks, max_new_tokens=6)
    assert found == [slowly(miniature.model, miniature.tokenizer, talk, 6) for talk in talks]


def test_in_half_precision_every_token_is_as_likely_as_any_up_to_rounding(
    model: PreTrainedModel, letters: Any, questions: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.bfloat16().generation_config = None
    monkeypatch.setattr(letters, "decode", lambda ids, **options: ids)
    for question, answer in zip(questions, answers(model, letters, questions, max_new_tokens=5), strict=True):
        prompt = prompt_ids(letters, question)
        ids = (*prompt, *answer.text)
        assert answer.truncated == (len(answer.text) == 5)
        logits = model(input_ids=torch.tensor([ids])).logits[0].float()
        for at in range(len(prompt), len(ids)):
            assert logits[at - 1, ids[at]] > logits[at - 1].max() - 0.05 * logits[at - 1].abs().max()


def test_settings_of_generation_other_than_its_ends_do_not_count(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    plain = answers(model, letters, questions, max_new_tokens=8)
    model.generation_config = GenerationConfig(do_sample=True, temperature=9.0, repetition_penalty=5.0, eos_token_id=2)
    assert answers(model, letters, questions, max_new_tokens=8) == plain


@pytest.mark.parametrize(
    ("listed", "wanted"), [(None, {2}), (7, {2, 7}), ([7, 9], {2, 7, 9}), ([], {2}), (2, {2}), ("nothing", {2})]
)
def test_an_answer_ends_where_the_settings_or_the_tokenizer_say(
    model: PreTrainedModel, letters: Any, listed: Any, wanted: set[int]
) -> None:
    model.generation_config = None if listed == "nothing" else GenerationConfig(eos_token_id=listed)
    assert end_tokens(model, letters) == wanted


def test_a_tokenizer_without_an_end_of_text_adds_none(model: PreTrainedModel, bare: Any) -> None:
    before, bare.eos_token = bare.eos_token, None
    try:
        assert end_tokens(model, bare) == {2}
        model.generation_config = GenerationConfig(eos_token_id=None)
        assert end_tokens(model, bare) == set()
    finally:
        bare.eos_token = before


def test_an_answer_that_ends_with_its_last_token_is_whole(model: PreTrainedModel, letters: Any) -> None:
    question = Example("e", "abc d", "")
    said = tokens(model, letters, question, 4)
    text = letters.decode(said[:3])
    model.generation_config = GenerationConfig(eos_token_id=said[3:])
    assert answers(model, letters, [question], max_new_tokens=4) == [Answer(text, truncated=False)]
    assert answers(model, letters, [question], max_new_tokens=3) == [Answer(text, truncated=True)]


def test_an_answer_may_be_nothing(model: PreTrainedModel, letters: Any) -> None:
    question = Example("e", "abc d", "")
    model.generation_config = GenerationConfig(eos_token_id=tokens(model, letters, question, 1))
    assert answers(model, letters, [question], max_new_tokens=5) == [Answer("", truncated=False)]


def test_rows_that_have_ended_leave_the_batch(
    model: PreTrainedModel, letters: Any, questions: list[Example], passes: Any
) -> None:
    ends = common_ends(model, letters, questions)
    model.generation_config = GenerationConfig(eos_token_id=ends)
    lengths = [len(tokens(model, letters, question, 9, (2, *ends))) for question in questions]
    seen = passes(model)
    answers(model, letters, questions, max_new_tokens=9)
    steps = [shape for shape in seen if shape[1] == 1]
    assert steps == [(sum(length > step for length in lengths), 1) for step in range(1, max(lengths))]
    assert steps[0][0] > steps[-1][0]


def test_longest_prompts_come_first_and_batches_have_room_for_the_answers(
    model: PreTrainedModel, letters: Any, passes: Any
) -> None:
    seen = passes(model)
    asked = [Example(letter, letter * length, "") for letter, length in (("x", 9), ("y", 9), ("z", 20), ("w", 9))]
    answers(model, letters, asked, max_new_tokens=5, max_tokens=30)
    assert [shape for shape in seen if shape[1] > 1] == [(1, 21), (2, 10), (1, 10)]


@pytest.mark.parametrize("most", [1, 9])
def test_a_prompt_may_fill_what_the_model_reads_and_no_more(model: PreTrainedModel, letters: Any, most: int) -> None:
    example = Example("e", "x" * (63 - most), "")
    assert answers(model, letters, [example], max_new_tokens=most) == [slowly(model, letters, example, most)]
    with pytest.raises(BadData) as caught:
        answers(model, letters, [example, replace(example, prompt="x" * (64 - most))], max_new_tokens=most)
    assert str(caught.value) == (
        "the longest prompt to be answered has 65 tokens with its answer, and the model reads 64; "
        "shorten the prompts or leave them out"
    )


def test_virtual_tokens_take_up_room(prompt_learner: Any, letters: Any) -> None:
    example = Example("e", "x" * 56, "")
    assert len(answers(prompt_learner, letters, [example], max_new_tokens=2)) == 1
    with pytest.raises(BadData, match="has 60 tokens with its answer, and the model reads 59;"):
        answers(prompt_learner, letters, [example], max_new_tokens=3)


def test_a_prompt_of_no_tokens_is_refused(model: PreTrainedModel, letters: Any, bare: Any) -> None:
    asked = [Example("file/1", "abc d", ""), Example("file/2", "", "")]
    with pytest.raises(BadData) as caught:
        answers(model, bare, asked, max_new_tokens=4)
    assert str(caught.value) == "'file/2' leaves nothing to be read before its answer; give it a longer prompt"
    found = answers(model, letters, asked, max_new_tokens=4)
    assert found == [slowly(model, letters, example, 4) for example in asked]


def test_how_many_are_done_is_told_batch_by_batch(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    told: list[int] = []
    answers(model, letters, questions, max_new_tokens=2, max_rows=3, tick=told.append)
    assert told == [3, 3, 1]
