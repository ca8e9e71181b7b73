"""Greedy answers to prompts, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.batches import buckets
from holdfast.core.task import Example
from holdfast.measure.cached import go_on, one_by_one, room, run
from holdfast.measure.prompts import Ids, check_begun, check_length, prompt_ids


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
        text: The answer without special tokens.
        truncated: Whether it ran into the token limit before it ended.
    """

    text: str
    truncated: bool


@torch.inference_mode()
def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    max_new_tokens: int,
    max_rows: int = 64,
    max_tokens: int = 16_384,
    tick: Callable[[int], None] = lambda rows: None,
) -> list[Answer]:
    """The likeliest next token, again and again, until the model ends its answer: one answer an example, in order.

    Decoding is plain: temperature, repetition penalty and the like of the model's generation settings are not used,
    so that base and tuned model are asked in the same way. Settings name only the tokens that end an answer.

    Raises:
        BadData: If a prompt does not fit into what the model can read, or is empty.
    """
    prompts = [prompt_ids(tokenizer, example) for example in examples]
    for example, prompt in zip(examples, prompts, strict=True):
        check_begun(example, prompt)
    check_length("to be answered", max(map(len, prompts)) + max_new_tokens, room(model))
    ends = end_tokens(model, tokenizer)
    pad = tokenizer.pad_token_id
    found: dict[int, Answer] = {}
    lengths = [len(prompt) + max_new_tokens for prompt in prompts]
    most = 1 if one_by_one(model) else max_rows
    for batch in buckets(lengths, max_rows=most, max_tokens=max_tokens):
        for index, ids in zip(
            batch, _greedy(model, [prompts[i] for i in batch], max_new_tokens, ends, pad), strict=True
        ):
            ended = bool(ids) and ids[-1] in ends
            text = tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True)
            found[index] = Answer(text, truncated=not ended)
        tick(len(batch))
    return [found[index] for index in range(len(examples))]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end an answer: those of the model's generation settings and the tokenizer's end of text."""
    listed = model.generation_config.eos_token_id if model.generation_config is not None else None
    ends = set(listed) if isinstance(listed, list) else {listed}
    return frozenset(token for token in (*ends, tokenizer.eos_token_id) if token is not None)


def _greedy(
    model: PreTrainedModel, prompts: Sequence[Ids], max_new_tokens: int, ends: frozenset[int], pad: int
) -> list[list[int]]:
    said: list[list[int]] = [[] for _ in prompts]
    live = list(range(len(prompts)))
    rows = run(model, prompts, pad)
    while True:
        tokens = rows.last.argmax(-1).tolist()
        for index, token in zip(live, tokens, strict=True):
            said[index].append(token)
        on = [
            token not in ends and len(said[index]) < max_new_tokens for index, token in zip(live, tokens, strict=True)
        ]
        if not any(on):
            return said
        if not all(on):
            # Rows that have ended leave the batch: what they would still cost is saved.
            rows = rows.repeated([int(keep) for keep in on])
            live = [index for index, keep in zip(live, on, strict=True) if keep]
            tokens = [token for token, keep in zip(tokens, on, strict=True) if keep]
        rows = go_on(model, rows, [(token,) for token in tokens], pad)
