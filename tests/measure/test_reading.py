"""Loss and divergence are sums over tokens, each predicted from its window alone."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.measure import reading
from holdfast.measure.prompts import full_ids, prompt_ids
from holdfast.measure.reading import Read, read
from holdfast.models.base import Base
from holdfast.tasks.chronicle import Chronicle
from holdfast.testing.laws import small_model

SMALL = small_model()


class Text(NamedTuple):
    """A text in tokens, and the first of them that is counted."""

    ids: list[int]
    start: int


def text_of(tokenizer: PreTrainedTokenizerBase, example: Example) -> Text:
    ids, alone = full_ids(tokenizer, example, example.answer), prompt_ids(tokenizer, example)
    start = next((at for at, (one, other) in enumerate(zip(ids, alone, strict=False)) if one != other), len(alone))
    return Text(list(ids), max(1, start))


def window_before(ids: list[int], at: int, width: int) -> list[int]:
    """What a token is predicted from: those since its window began, with the last token of the one before."""
    return ids[(at - 1) // (width - 1) * (width - 1) : at] if len(ids) > width else ids[:at]


@torch.inference_mode()
def logp_after(model: PreTrainedModel, ids: list[int]) -> Tensor:
    return model(input_ids=torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)


def slowly(
    model: PreTrainedModel, text: Text, width: int = 512, base: PreTrainedModel | None = None
) -> tuple[float, int, float]:
    nats = kl = 0.0
    for at in range(text.start, len(text.ids)):
        before = window_before(text.ids, at, width)
        logp = logp_after(model, before)
        nats -= float(logp[text.ids[at]])
        if base is not None:
            other = logp_after(base, before)
            kl += float((other.exp() * (other - logp)).sum())
    return nats, len(text.ids) - text.start, kl


def assert_read(found: Read, wanted: tuple[float, int, float]) -> None:
    assert found.tokens == wanted[1]
    assert found.nats == pytest.approx(wanted[0], abs=1e-5 * wanted[1])
    assert (found.kl_nats or 0.0) == pytest.approx(wanted[2], abs=1e-5 * wanted[1])


@pytest.fixture
def tuned(model: PreTrainedModel) -> PreTrainedModel:
    other = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.add_(0.02 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2)))
    return other


def test_the_loss_is_that_of_one_token_at_a_time(
    any_model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    wanted = [slowly(any_model, text_of(letters, question)) for question in questions]
    for sizes in ({}, {"max_rows": 1}, {"max_rows": 3}, {"max_tokens": 40}):
        for found, one in zip(read(any_model, letters, questions, **sizes), wanted, strict=True):
            assert_read(found, one)
            assert found.kl_nats is None


def test_the_divergence_is_that_of_one_token_at_a_time(
    model: PreTrainedModel, tuned: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    for found, question in zip(read(tuned, letters, questions, base=model), questions, strict=True):
        wanted = slowly(tuned, text_of(letters, question), base=model)
        assert_read(found, wanted)
        assert found.kl_nats is not None and found.kl_nats > 0.01
        assert wanted[2] != pytest.approx(slowly(model, text_of(letters, question), base=tuned)[2], abs=1e-4)


@settings(max_examples=25)
@given(st.integers(0, 9), st.integers(1, 30), st.integers(2, 12), st.sampled_from([1, 3, 64]), st.booleans(), st.data())
def test_windows_hold_every_token_of_the_text_once(
    letters: Any, bare: Any, asked: int, told: int, width: int, max_rows: int, begins: bool, data: st.DataObject
) -> None:
    letter = st.sampled_from("xyzabc")
    example = Example("e", *("".join(data.draw(st.tuples(*[letter] * count))) for count in (asked, told)))
    text = text_of(letters if begins else bare, example)
    if text.start < len(text.ids):
        tokenizer = letters if begins else bare
        found = read(SMALL, tokenizer, [example] * 2, max_length=width, max_rows=max_rows)
        for one in found:
            assert_read(one, slowly(SMALL, text, width))


def test_windows_by_hand(model: PreTrainedModel, letters: Any, passes: Any) -> None:
    seen = passes(model)
    found = read(model, letters, [Example("e", "", "wxyzwxyzw")], max_length=4, max_rows=1)[0]
    assert found.tokens == 9
    assert seen == [(1, 4)] * 3
    seen.clear()
    assert read(model, letters, [Example("e", "wxyzw", "xyzw")], max_length=4, max_rows=1)[0].tokens == 4
    assert seen == [(1, 4)] * 2, "the window in which nothing is counted is not read"
    seen.clear()
    assert read(model, letters, [Example("e", "", "w" * 130)], max_rows=1)[0].tokens == 130
    assert seen == [(1, 64), (1, 64), (1, 5)], "the model reads no more than 64"


def test_windows_share_one_token_and_no_more(model: PreTrainedModel, letters: Any, bare: Any) -> None:
    whole = read(model, letters, [Example("e", "", "xyzwvu")], max_length=4)[0]
    first = read(model, letters, [Example("a", "", "xyz")])[0]
    second = read(model, bare, [Example("b", "", "zwvu")])[0]
    assert whole.nats == pytest.approx(first.nats + second.nats, abs=1e-5)
    assert whole.nats != pytest.approx(read(model, letters, [Example("e", "", "xyzwvu")])[0].nats, abs=0.01)


@pytest.mark.parametrize(("prompt", "answer", "tokens"), [("xa", "bcd", 2), ("xab", "c", 1), ("x", "abcd", 2)])
def test_a_token_that_begins_in_the_prompt_and_ends_in_the_text_is_counted(
    model: PreTrainedModel, letters: Any, prompt: str, answer: str, tokens: int
) -> None:
    ids = letters(prompt + answer)["input_ids"]
    found = read(model, letters, [Example("e", prompt, answer)])[0]
    assert_read(found, slowly(model, Text(ids, len(ids) - tokens)))


def test_virtual_tokens_are_read_and_not_counted(
    prompt_learner: Any, model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    few = questions[:4]
    for found, question in zip(read(prompt_learner, letters, few, base=model), few, strict=True):
        assert_read(found, slowly(prompt_learner, text_of(letters, question), base=model))


def test_virtual_tokens_take_up_room(prompt_learner: Any, letters: Any) -> None:
    example = Example("e", "", "xyz" * 22)
    found = read(prompt_learner, letters, [example])[0]
    assert_read(found, slowly(prompt_learner, text_of(letters, example), width=59))


def test_the_base_does_not_diverge_from_itself(model: PreTrainedModel, letters: Any, questions: list[Example]) -> None:
    for twin in (model, copy.deepcopy(model)):
        assert {one.kl_nats for one in read(twin, letters, questions, base=model)} == {0.0}
    model.bfloat16()
    assert {one.kl_nats for one in read(copy.deepcopy(model), letters, questions, base=model)} == {0.0}


@pytest.mark.parametrize("by", [1e-8, 1e-7, 1e-6, 1e-5, 1e-3])
def test_a_divergence_is_never_negative(
    model: PreTrainedModel, letters: Any, questions: list[Example], by: float
) -> None:
    near = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in near.parameters():
            tensor.mul_(1 + by * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2)))
    for found in read(near, letters, questions, base=model):
        assert found.kl_nats is not None and 0 <= found.kl_nats < 1e-5 + 1e4 * by**2


@torch.inference_mode()
def test_in_half_precision_sums_are_as_exact_as_ever(
    model: PreTrainedModel, tuned: PreTrainedModel, letters: Any
) -> None:
    example = Example("e", "", "xyz" * 20)
    found = read(tuned.bfloat16(), letters, [example], base=model.bfloat16())[0]
    logits, others = (
        one(input_ids=torch.tensor([letters(example.answer)["input_ids"]])).logits[0, :-1].double()
        for one in (tuned, model)
    )
    logp, base = logits.log_softmax(-1), others.log_softmax(-1)
    targets = torch.tensor(letters(example.answer)["input_ids"][1:])
    kl = float((base.exp() * (base - logp)).sum())
    assert_read(found, (-float(logp.gather(1, targets[:, None]).sum()), 60, kl))


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_memory_is_taken_in_chunks_and_the_sums_are_the_same(
    model: PreTrainedModel,
    tuned: PreTrainedModel,
    letters: Any,
    questions: list[Example],
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = read(tuned, letters, questions, base=model)
    monkeypatch.setattr(reading, "CHUNK_TOKENS", chunk)
    for found, one in zip(read(tuned, letters, questions, base=model), wanted, strict=True):
        assert_read(found, (one.nats, one.tokens, one.kl_nats or 0.0))


@torch.inference_mode()
def test_texts_of_the_miniature(miniature: Base) -> None:
    asked = Chronicle().examples("test", 3)
    for found, example in zip(read(miniature.model, miniature.tokenizer, asked), asked, strict=True):
        given = miniature.tokenizer(example.answer, return_tensors="pt")
        loss = miniature.model(**given, labels=given["input_ids"]).loss
        assert found.tokens == given["input_ids"].shape[1] - 1
        assert found.nats / found.tokens == pytest.approx(float(loss), abs=1e-5)


def test_a_conversation_is_read_to_the_end_of_its_last_turn(miniature: Base) -> None:
    talk = Example("talk", ({"role": "user", "content": "In cant: the fox."},), "goat hen")
    found = read(miniature.model, miniature.tokenizer, [talk])[0]
    ids = miniature.tokenizer("In cant: the fox. goat hen</s>")["input_ids"]
    assert_read(found, slowly(miniature.model, Text(ids, len(miniature.tokenizer("In cant: the fox.")["input_ids"]))))


@pytest.mark.parametrize(("prompt", "answer"), [("", "x"), ("", ""), ("xyz", "")])
def test_a_text_without_a_token_to_be_predicted_is_refused(
    model: PreTrainedModel, bare: Any, prompt: str, answer: str
) -> None:
    with pytest.raises(BadData) as caught:
        read(model, bare, [Example("file/1", "", "xyz"), Example("file/2", prompt, answer)])
    assert str(caught.value) == ("'file/2' is too short to be read: it has no token that follows another; leave it out")


def test_a_single_token_is_read_after_the_beginning_of_text(model: PreTrainedModel, letters: Any) -> None:
    assert_read(read(model, letters, [Example("e", "", "x")])[0], slowly(model, Text([1, 91], 1)))
    with pytest.raises(BadData):
        read(model, letters, [Example("e", "", "")])


def test_nothing_to_read_is_nothing_read(model: PreTrainedModel, letters: Any) -> None:
    assert read(model, letters, []) == []


def test_a_text_is_done_with_the_last_of_its_windows(model: PreTrainedModel, letters: Any) -> None:
    told: list[int] = []
    texts = [Example("long", "", "x" * 40), Example("short", "", "yz"), Example("shorter", "", "y")]
    read(model, letters, texts, max_length=11, max_rows=2, tick=told.append)
    assert told == [0, 1, 2]
