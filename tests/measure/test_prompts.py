"""A prompt ends where the tokens of its completions leave it, and nothing is cut off without a word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.measure.prompts import Asked, check_length, common_length, full_ids, prompt_ids, with_completions
from holdfast.models.base import Base

TURNS = ({"role": "user", "content": "In cant: the fox."}, {"role": "assistant", "content": "hen"}) * 2
TALK = Example("talk", TURNS[:3], "goat")


def spelt(tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...]) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(list(ids)))


@given(st.text("ab"), st.text("ab"))
def test_the_common_length_is_that_of_the_longest_common_beginning(one: str, other: str) -> None:
    wanted = max(n for n in range(len(one) + 1) if other.startswith(one[:n]))
    assert common_length(list(map(ord, one)), list(map(ord, other))) == wanted
    assert common_length(list(map(ord, other)), list(map(ord, one))) == wanted


def test_a_plain_prompt_is_tokenised_as_it_stands(letters: Any, bare: Any) -> None:
    example = Example("e", "x abcd", " y")
    assert spelt(letters, prompt_ids(letters, example)) == ["<s>", "x", " ", "abc", "d"]
    assert spelt(bare, prompt_ids(bare, example)) == ["x", " ", "abc", "d"]
    assert spelt(letters, full_ids(letters, example, "ab")) == ["<s>", "x", " ", "abc", "d", "ab"]


def test_a_conversation_is_written_by_the_chat_template(miniature: Base) -> None:
    tokenizer = miniature.tokenizer
    rendered = tokenizer.apply_chat_template(list(TURNS[:3]), add_generation_prompt=True, tokenize=False)
    assert tokenizer.decode(prompt_ids(tokenizer, TALK)) == rendered
    answered = [*TURNS[:3], {"role": "assistant", "content": "goat"}]
    rendered = tokenizer.apply_chat_template(answered, add_generation_prompt=False, tokenize=False)
    assert tokenizer.decode(full_ids(tokenizer, TALK, "goat")) == rendered
    assert rendered.endswith("goat</s>") and rendered.count("<s>") == 1


def test_the_template_is_asked_for_the_beginning_of_an_answer_and_not_for_one_behind_it(bare: Any) -> None:
    bare.chat_template = (
        "{% for m in messages %}{{ m['role'][0] + ':' + m['content'] + ';' }}{% endfor %}"
        "{% if add_generation_prompt %}a:{% endif %}"
    )
    try:
        example = Example("e", ({"role": "user", "content": "hi"},), "yo")
        assert bare.decode(prompt_ids(bare, example)) == "u:hi;a:"
        assert bare.decode(full_ids(bare, example, "yo")) == "u:hi;a:yo;"
        asked = with_completions(bare, example, ["yo", "ye"])
        assert [bare.decode(ids) for ids in (asked.prompt, *asked.completions)] == ["u:hi;a:", "yo;", "ye;"]
    finally:
        bare.chat_template = None


def test_a_conversation_needs_a_template(bare: Any) -> None:
    for ask in (prompt_ids, lambda tokenizer, example: with_completions(tokenizer, example, ["x"])):
        with pytest.raises(BadData) as caught:
            ask(bare, TALK)
        assert str(caught.value) == (
            "the data holds conversations and the model's tokenizer has no chat template; give plain prompts"
        )


@pytest.mark.parametrize(
    ("prompt", "completions", "wanted"),
    [
        ("x", ("y", "zz"), Asked((91,), ((92,), (93, 93)))),
        ("xy", ("ab", "abc"), Asked((91, 92), ((98,), (99,)))),
        ("x", ("yz", "yw"), Asked((91,), ((92, 93), (92, 90)))),
        ("x", ("y", "yz", "yzz"), Asked((91,), ((92,), (92, 93), (92, 93, 93)))),
        ("xa", ("bx", "bcy", "z"), Asked((91,), ((98, 91), (99, 92), (68, 93)))),
        ("xa", ("z", "bx"), Asked((91,), ((68, 93), (98, 91)))),
        ("xa", ("bcx", "bcyy"), Asked((91,), ((99, 91), (99, 92, 92)))),
        ("xab", ("cd",), Asked((91,), ((99, 71),))),
        ("x", ("ab",), Asked((91,), ((98,),))),
        ("", ("x", "yz"), Asked((), ((91,), (92, 93)))),
        ("a", ("b", "bc"), Asked((), ((98,), (99,)))),
    ],
    ids=[
        "tokens of their own",
        "choices that merge in themselves",
        "choices that begin alike",
        "choices that begin each other",
        "some choices merge with the prompt",
        "the last choice merges with the prompt",
        "all choices merge with the prompt in the same way",
        "the only completion merges with the prompt",
        "one token",
        "no prompt",
        "nothing of the prompt is left",
    ],
)
def test_prompt_and_completions_part_where_the_joint_tokens_leave_the_prompt(
    bare: Any, prompt: str, completions: tuple[str, ...], wanted: Asked
) -> None:
    assert with_completions(bare, Example("e", prompt, "", completions), completions) == wanted


@given(st.text("abc ", max_size=6), st.lists(st.text("abc ", min_size=1, max_size=5), min_size=1, max_size=4))
def test_no_token_of_a_completion_is_lost_to_the_prompt(letters: Any, prompt: str, completions: list[str]) -> None:
    example = Example("e", prompt, "")
    asked = with_completions(letters, example, completions)
    assert prompt.startswith(letters.decode(asked.prompt, skip_special_tokens=True))
    for completion, ids in zip(completions, asked.completions, strict=True):
        assert ids
        assert asked.prompt + ids == full_ids(letters, example, completion)
    alone, more = prompt_ids(letters, example), len(asked.prompt) + 1
    assert any(full_ids(letters, example, text)[:more] != alone[:more] for text in completions)


@pytest.mark.parametrize("completions", [("",), ("x", ""), ("", "x")])
def test_a_completion_of_nothing_is_refused(letters: Any, completions: tuple[str, ...]) -> None:
    with pytest.raises(BadData) as caught:
        with_completions(letters, Example("file/7", "abc", "x"), completions)
    assert str(caught.value) == "'file/7' has a choice that adds no token to its prompt; leave it out"


def test_prompts_are_refused_from_the_first_token_too_many() -> None:
    check_length("to be answered", 64, 64)
    check_length("to be answered", 10**9, None)
    with pytest.raises(BadData) as caught:
        check_length("to be answered", 65, 64)
    assert str(caught.value) == (
        "the longest prompt to be answered has 65 tokens with its answer, and the model reads 64; "
        "shorten the prompts or leave them out"
    )
