"""Tokens are chosen by what a prompt says, and as many of each."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import BadData
from holdfast.probes.tokens import TokenChoice

ids = st.lists(st.integers(0, 50), min_size=1, max_size=30)


@given(ids, st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_chosen_tokens_are_different_ones_after_those_skipped(
    prompt: list[int], tokens: int, skipped: int, seed: int
) -> None:
    found = TokenChoice(tokens, skipped, seed).positions(prompt)
    assert len(found) == len(set(found)) == max(0, min(tokens, len(prompt) - skipped))
    assert all(skipped <= at < len(prompt) for at in found)
    assert found == TokenChoice(tokens, skipped, seed).positions(tuple(prompt))


@given(ids, st.integers(1, 10), st.integers(0, 20))
def test_fewer_tokens_are_the_beginning_of_more(prompt: list[int], fewer: int, more: int) -> None:
    assert TokenChoice(fewer + more).positions(prompt)[:fewer] == TokenChoice(fewer).positions(prompt)
    assert TokenChoice(None).positions(prompt)[:fewer] == TokenChoice(fewer).positions(prompt)


def test_all_tokens_are_all_tokens() -> None:
    assert sorted(TokenChoice(None, skipped=0).positions(range(9))) == list(range(9))


def test_another_seed_and_another_prompt_make_another_choice() -> None:
    prompt = list(range(100))
    found = {TokenChoice(8, seed=seed).positions(prompt) for seed in range(5)}
    assert len(found | {TokenChoice(8).positions([*prompt[:-1], 7])}) == 6
    assert TokenChoice(8).key(prompt) != TokenChoice(8, seed=1).key(prompt)


def test_a_choice_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert TokenChoice(5).key((3, 1, 4, 1, 5)) == "d96e866564574744"
    assert TokenChoice(5).positions((3, 1, 4, 1, 5, 9, 2, 6)) == (4, 7, 2, 3, 6)


def test_every_position_is_as_likely() -> None:
    counts = Counter(at for text in range(3000) for at in TokenChoice(2, skipped=0).positions([text, *range(9)]))
    # 600 each with a standard deviation of 22: five of them, and the prompts are fixed.
    assert all(abs(counts[at] - 600) < 110 for at in range(10))


@pytest.mark.parametrize(("tokens", "skipped"), [(0, 1), (-1, 1), (4, -1)])
def test_choices_that_make_no_sense_are_refused(tokens: int, skipped: int) -> None:
    with pytest.raises(ValueError, match=f"{tokens} tokens after the first {skipped} cannot be chosen"):
        TokenChoice(tokens, skipped)


def test_prompts_with_too_few_tokens_are_counted() -> None:
    prompts = [range(9), range(5), range(3)]
    TokenChoice(2).check(prompts)
    with pytest.raises(BadData) as caught:
        TokenChoice(5).check(prompts)
    assert str(caught.value) == (
        "2 of 3 prompts have fewer than 5 tokens after the first 1 (the shortest has 2); "
        "choose fewer tokens of each, or leave short prompts out"
    )
    with pytest.raises(
        BadData, match=r"1 of 1 prompts have fewer than 1 tokens after the first 1 \(the shortest has 0"
    ):
        TokenChoice(None).check([(7,)])
    with pytest.raises(BadData, match="there is no prompt to be read; give at least one"):
        TokenChoice(None).check([])
