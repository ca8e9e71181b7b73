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
        return tuple(tokenizer(example.prompt)["input_ids"])
    return tuple(_templated(tokenizer, list(example.prompt), add_generation_prompt=True))


def full_ids(tokenizer: PreTrainedTokenizerBase, example: Example, completion: str) -> Ids:
    """The tokens of a prompt and a completion, tokenised together as they are in training."""
    if isinstance(example.prompt, str):
        return tuple(tokenizer(example.prompt + completion)["input_ids"])
    turns = [*example.prompt, {"role": "assistant", "content": completion}]
    return tuple(_templated(tokenizer, turns, add_generation_prompt=False))


def with_completions(tokenizer: PreTrainedTokenizerBase, example: Example, completions: Sequence[str]) -> Asked:
    """Prompt and completions, parted where all their joint tokenisations are still the same.

    Tokens may merge across the boundary of prompt and completion, so the prompt is never tokenised alone.
    """
    rows = [full_ids(tokenizer, example, completion) for completion in completions]
    start = min(
        len(prompt_ids(tokenizer, example)), *(common_length(rows[0], row) for row in rows), *(len(r) - 1 for r in rows)
    )
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


def _templated(tokenizer: PreTrainedTokenizerBase, turns: list, *, add_generation_prompt: bool) -> list[int]:  # type: ignore[type-arg]
    if not tokenizer.chat_template:
        raise BadData("the data holds conversations and the model's tokenizer has no chat template; give plain prompts")
    rendered = tokenizer.apply_chat_template(
        turns, add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=True
    )
    ids: list[int] = rendered["input_ids"]
    return ids
