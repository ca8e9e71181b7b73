"""From examples to token ids: one rendering for the base and for every tuned model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from holdfast.core.errors import BadData
from holdfast.core.task import Example

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Asked:
    """A prompt in tokens and the completions that may follow it.

    Attributes:
        prompt: Tokens up to where the completions part.
        completions: Tokens of each completion from there on.
    """

    prompt: Ids
    completions: tuple[Ids, ...] = ()


def prompt_ids(tokenizer: PreTrainedTokenizerBase, example: Example) -> Ids:
    """The tokens of a prompt: by the chat template for a conversation, as plain text otherwise.

    Raises:
        BadData: If a conversation meets a tokenizer without a chat template.
    """
    if isinstance(example.prompt, str):
        return _plain(tokenizer, example.prompt)
    return tuple(_templated(tokenizer, list(example.prompt), add_generation_prompt=True))


def full_ids(tokenizer: PreTrainedTokenizerBase, example: Example, completion: str) -> Ids:
    """The tokens of a prompt and a completion, tokenised together as they are in training."""
    if isinstance(example.prompt, str):
        return _plain(tokenizer, example.prompt + completion)
    turns = [*example.prompt, {"role": "assistant", "content": completion}]
    return tuple(_templated(tokenizer, turns, add_generation_prompt=False))


def with_completions(tokenizer: PreTrainedTokenizerBase, example: Example, completions: Sequence[str]) -> Asked:
    """Prompt and completions, parted where the first of their joint tokenisations leaves that of the prompt.

    Tokens may merge across the boundary of prompt and completion: such a token belongs to the completion.

    Raises:
        BadData: If a completion adds no token.
    """
    alone = prompt_ids(tokenizer, example)
    rows = [full_ids(tokenizer, example, completion) for completion in completions]
    start = min(common_length(alone, row) for row in rows)
    if any(len(row) == start for row in rows):
        raise BadData(f"'{example.id}' has a choice that adds no token to its prompt; leave it out")
    return Asked(prompt=rows[0][:start], completions=tuple(row[start:] for row in rows))


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common beginning of two sequences."""
    for length, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return length
    return min(len(one), len(other))


def check_length(purpose: str, longest: int, limit: int | None) -> None:
    """Refuse prompts that the model cannot read to their end.

    Args:
        purpose: What the prompts are for, as the end of a sentence.
        longest: Tokens of the longest prompt with its answer.
        limit: Most tokens that the model reads, if there is a limit.

    Raises:
        BadData: If one is too long; nothing is ever cut off without a word.
    """
    if limit is not None and longest > limit:
        raise BadData(
            f"the longest prompt {purpose} has {longest} tokens with its answer, and the model reads {limit}; "
            "shorten the prompts or leave them out"
        )


def check_begun(example: Example, prompt: Ids) -> None:
    """Refuse a prompt of no tokens, after which there is no first token to be predicted.

    Raises:
        BadData: If the prompt has no tokens.
    """
    if not prompt:
        raise BadData(f"'{example.id}' leaves nothing to be read before its answer; give it a longer prompt")


def _plain(tokenizer: PreTrainedTokenizerBase, text: str) -> Ids:
    # Not verbose: what is too long for the model is refused or read in windows by those who ask.
    return tuple(tokenizer(text, verbose=False)["input_ids"])


def _templated(tokenizer: PreTrainedTokenizerBase, turns: list, *, add_generation_prompt: bool) -> list[int]:  # type: ignore[type-arg]
    if not tokenizer.chat_template:
        raise BadData("the data holds conversations and the model's tokenizer has no chat template; give plain prompts")
    rendered = tokenizer.apply_chat_template(
        turns, add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=True
    )
    ids: list[int] = rendered["input_ids"]
    return ids
