"""The likelihood of a choice is that of its tokens in one pass over the prompt and nothing but that choice."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.measure.choices import choice_loglikelihoods, likeliest
from holdfast.measure.prompts import with_completions
from holdfast.models.base import Base
from holdfast.tasks.endings import Endings

CLOSE = 1e-4
"""Nats by which sharing and padding may change a log-likelihood."""


@torch.inference_mode()
def slowly(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, example: Example) -> tuple[float, ...]:
    asked = with_completions(tokenizer, example, example.choices)
    found = []
    for completion in asked.completions:
        ids = torch.tensor([asked.prompt + completion])
        logits = model(input_ids=ids).logits[0, -ids.shape[1] :]
        logp = logits.double().log_softmax(-1)
        found.append(sum(float(logp[at - 1, ids[0, at]]) for at in range(len(asked.prompt), ids.shape[1])))
    return tuple(found)


def assert_same(found: list[tuple[float, ...]], wanted: list[tuple[float, ...]]) -> None:
    assert list(map(len, found)) == list(map(len, wanted))
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, abs=CLOSE)


def test_likelihoods_are_those_of_one_choice_at_a_time(
    any_model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    wanted = [slowly(any_model, letters, question) for question in questions]
    for sizes in ({}, {"max_rows": 1}, {"max_rows": 7}, {"max_tokens": 1}, {"max_tokens": 120}):
        assert_same(choice_loglikelihoods(any_model, letters, questions, **sizes), wanted)


def test_virtual_tokens_come_before_every_prompt(prompt_learner: Any, letters: Any, questions: list[Example]) -> None:
    found = choice_loglikelihoods(prompt_learner, letters, questions)
    assert_same(found, [slowly(prompt_learner, letters, question) for question in questions])


@pytest.mark.parametrize(
    ("prompt", "choices"),
    [
        ("x", ("y", "z", "É")),
        ("x y", ("z",)),
        ("x y", ("yzz", "zy", "y")),
        ("x y", ("a", "ac", "acc", "accx")),
        ("x a", ("bx", "bcyy", "z")),
        ("x a", ("bcx", "bcyy", "bc")),
        ("", ("x", "yz")),
        ("x y", ("same", "same")),
    ],
    ids=[
        "one token each",
        "one choice",
        "some longer than one token",
        "choices that begin each other",
        "some merge with the prompt",
        "all merge with the prompt",
        "no prompt but a beginning",
        "equal choices",
    ],
)
@pytest.mark.parametrize("company", [False, True])
def test_choices_of_every_kind(
    model: PreTrainedModel, letters: Any, prompt: str, choices: tuple[str, ...], company: bool
) -> None:
    asked = [Example("e", prompt, "", choices)]
    if company:
        asked += [Example("f", "x", "", ("y", "z")), Example("g", "x y" * 4, "", ("b", "accc", "y", "y z" * 3, "z"))]
    assert_same(choice_loglikelihoods(model, letters, asked), [slowly(model, letters, example) for example in asked])


@torch.inference_mode()
def test_the_whole_choice_counts_where_it_merges_with_the_prompt(model: PreTrainedModel, letters: Any) -> None:
    example = Example("e", "x a", "", ("bcx", "bcyy"))
    ids = torch.tensor([letters("x abcx")["input_ids"], letters("x abcy")["input_ids"]])
    logp = model(input_ids=ids).logits.double().log_softmax(-1)
    merged = letters.convert_tokens_to_ids("abc")
    found = choice_loglikelihoods(model, letters, [example])[0]
    assert found[0] == pytest.approx(float(logp[0, 2, merged] + logp[0, 3, ids[0, 4]]), abs=CLOSE)


@torch.inference_mode()
def test_likelihoods_of_single_tokens_are_a_distribution(model: PreTrainedModel, bare: Any) -> None:
    tokens = [token for token in bare.get_vocab() if len(token) == 1 and token not in "bc"]
    found = choice_loglikelihoods(model, bare, [Example("e", "xyz", "", tuple(tokens))])[0]
    logp = model(input_ids=torch.tensor([bare("xyz")["input_ids"]])).logits[0, -1].log_softmax(-1)
    others = [index for index in range(128) if bare.convert_ids_to_tokens(index) not in tokens]
    assert sum(map(math.exp, found)) == pytest.approx(1 - float(logp[others].exp().sum()), abs=1e-5)


def test_each_question_keeps_its_scores_whatever_the_order(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    order = [3, 0, 6, 2, 5, 1, 4]
    found = choice_loglikelihoods(model, letters, questions, max_rows=9)
    again = choice_loglikelihoods(model, letters, [questions[i] for i in order], max_rows=9)
    assert_same(again, [found[i] for i in order])


def test_the_miniature_chooses_by_the_same_likelihoods(miniature: Base) -> None:
    asked = Endings().examples("test", 10)
    found = choice_loglikelihoods(miniature.model, miniature.tokenizer, asked)
    assert_same(found, [slowly(miniature.model, miniature.tokenizer, example) for example in asked])
    talks = [replace(example, prompt=({"role": "user", "content": example.prompt},)) for example in asked]
    found = choice_loglikelihoods(miniature.model, miniature.tokenizer, talks)
    assert_same(found, [slowly(miniature.model, miniature.tokenizer, talk) for talk in talks])


def test_in_half_precision_likelihoods_differ_by_rounding_alone(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    model.bfloat16()
    for found, question in zip(choice_loglikelihoods(model, letters, questions), questions, strict=True):
        for value, wanted, choice in zip(found, slowly(model, letters, question), question.choices, strict=True):
            assert value == pytest.approx(wanted, abs=0.1 * len(choice))


def test_a_context_is_read_once_whatever_the_number_of_its_choices(
    model: PreTrainedModel, letters: Any, passes: Any
) -> None:
    shared = "y" * 20
    asked = [Example(str(i), shared + "zwv"[i], "", ("x", "xx", "xxxx", "xxxxx")) for i in range(3)]
    seen = passes(model)
    choice_loglikelihoods(model, letters, asked)
    assert seen == [(1, 21), (3, 1), (9, 4)]


@pytest.mark.parametrize(("most", "rows"), [(48, [2, 1]), (47, [1, 1, 1])])
def test_batches_have_room_for_all_choices(
    model: PreTrainedModel, letters: Any, passes: Any, most: int, rows: list[int]
) -> None:
    seen = passes(model)
    asked = [Example(letter, letter * 9, "", ("v", "vv")) for letter in "xyz"]
    choice_loglikelihoods(model, letters, asked, max_tokens=most)
    assert [shape for shape in seen if shape[1] > 1] == [(count, 10) for count in rows]


def test_a_long_prompt_is_refused_with_its_longest_choice(model: PreTrainedModel, letters: Any) -> None:
    example = Example("e", "x" * 55, "", ("y", "y" * 8))
    assert_same(choice_loglikelihoods(model, letters, [example]), [slowly(model, letters, example)])
    with pytest.raises(BadData) as caught:
        choice_loglikelihoods(model, letters, [example, replace(example, prompt="x" * 56)])
    assert str(caught.value) == (
        "the longest prompt to be chosen from has 65 tokens with its answer, and the model reads 64; "
        "shorten the prompts or leave them out"
    )


def test_virtual_tokens_take_up_room(prompt_learner: Any, letters: Any) -> None:
    example = Example("e", "x" * 54, "", ("y", "yyyy"))
    assert_same(choice_loglikelihoods(prompt_learner, letters, [example]), [slowly(prompt_learner, letters, example)])
    with pytest.raises(BadData, match="has 60 tokens with its answer, and the model reads 59;"):
        choice_loglikelihoods(prompt_learner, letters, [replace(example, prompt="x" * 55)])


@pytest.mark.parametrize(("prompt", "choices"), [("", ("x", "yz")), ("a", ("b", "bc"))])
def test_a_prompt_of_which_no_token_is_left_is_refused(
    model: PreTrainedModel, bare: Any, prompt: str, choices: tuple[str, ...]
) -> None:
    with pytest.raises(BadData) as caught:
        choice_loglikelihoods(model, bare, [Example("f", "x", "", ("y",)), Example("file/2", prompt, "", choices)])
    assert str(caught.value) == "'file/2' leaves nothing to be read before its answer; give it a longer prompt"


def test_how_many_are_done_is_told_batch_by_batch(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    told: list[int] = []
    choice_loglikelihoods(model, letters, questions, max_rows=9, tick=told.append)
    assert told == [3, 3, 1]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=9), st.floats(-50, -1e-3)), min_size=1, max_size=5))
def test_the_likeliest_choice_has_the_highest_likelihood_a_byte(choices: list[tuple[str, float]]) -> None:
    example = Example("e", "", "", tuple(text for text, _ in choices))
    best = max(value / len(text.encode()) for text, value in choices)
    wanted = next(text for text, value in choices if value / len(text.encode()) == best)
    assert likeliest(example, [value for _, value in choices]) == wanted


@pytest.mark.parametrize(
    ("choices", "values", "wanted"),
    [
        (("ab", "abcd"), (-3.0, -5.0), "abcd"),
        (("ab", "abcd"), (-2.0, -5.0), "ab"),
        (("é", "e"), (-1.8, -1.0), "é"),
        (("a", "b"), (-1.0, -1.0), "a"),
    ],
    ids=["long choices are not worse", "nor better", "bytes and not characters", "the first of equals"],
)
def test_the_likeliest_choice_by_hand(choices: tuple[str, ...], values: tuple[float, ...], wanted: str) -> None:
    assert likeliest(Example("e", "", "", choices), values) == wanted
