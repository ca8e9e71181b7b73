"""Loss on text and divergence from the base: retention that needs no questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.batches import buckets
from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.measure.cached import room
from holdfast.measure.prompts import Ids, common_length, full_ids, prompt_ids

CHUNK_TOKENS = 1024
"""Tokens whose logits are in memory in float32 at a time."""


@dataclass(frozen=True)
class Read:
    """What reading one text cost.

    Attributes:
        nats: Negative log-likelihood of its tokens, summed.
        tokens: How many tokens were predicted.
        kl_nats: KL(base || model), summed over the same positions; absent without a base.
    """

    nats: float
    tokens: int
    kl_nats: float | None = None


@torch.inference_mode()
def read(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    base: PreTrainedModel | None = None,
    max_length: int = 512,
    max_rows: int = 64,
    max_tokens: int = 16_384,
    tick: Callable[[int], None] = lambda rows: None,
) -> list[Read]:
    """Loss on each example's text; the prompt, if any, is read but not counted, nor is an end of text added.

    Texts longer than ``max_length`` are read in windows, each of which begins with the last token of the one before:
    every token but the first is predicted once, and never from more than its own window.

    Args:
        model: The model to be measured.
        tokenizer: Its tokenizer.
        examples: The texts.
        base: The model to diverge from, if divergence is asked for.
        max_length: Longest window, in tokens; cut to what the model can read.
        max_rows: Most rows in a batch.
        max_tokens: Most tokens in a batch.
        tick: Told how many texts were read to their end.

    Raises:
        BadData: If a text has no token that follows another.
    """
    limit = room(model) or max_length
    windows = [
        (index, ids, start)
        for index, example in enumerate(examples)
        for ids, start in _windows(tokenizer, example, min(max_length, limit))
    ]
    unread = Counter(index for index, _, _ in windows)
    nats, tokens, kl = [0.0] * len(examples), [0] * len(examples), [0.0] * len(examples)
    for batch in buckets([len(ids) for _, ids, _ in windows], max_rows=max_rows, max_tokens=max_tokens):
        rows = [windows[i] for i in batch]
        losses, divergences = _batch(model, base, [(ids, start) for _, ids, start in rows], tokenizer.pad_token_id)
        for (index, ids, start), loss, divergence in zip(rows, losses, divergences, strict=True):
            nats[index] += loss
            kl[index] += divergence
            tokens[index] += len(ids) - start
            unread[index] -= 1
        tick(sum(unread[index] == 0 for index in {index for index, _, _ in rows}))
    return [Read(nats[i], tokens[i], None if base is None else kl[i]) for i in range(len(examples))]


def _windows(tokenizer: PreTrainedTokenizerBase, example: Example, width: int) -> list[tuple[Ids, int]]:
    """Windows of a text, each with the position of the first token that is counted; position 0 has no prediction."""
    ids = full_ids(tokenizer, example, example.answer)
    start = max(1, common_length(prompt_ids(tokenizer, example), ids))
    if start >= len(ids):
        raise BadData(f"'{example.id}' is too short to be read: it has no token that follows another; leave it out")
    if len(ids) <= width:
        return [(ids, start)]
    step = width - 1
    return [(ids[at : at + width], max(1, start - at)) for at in range(0, len(ids) - 1, step) if at + width > start]


def _batch(
    model: PreTrainedModel, base: PreTrainedModel | None, rows: Sequence[tuple[Ids, int]], pad: int
) -> tuple[list[float], list[float]]:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), pad, device=model.device)
    counted = torch.zeros(len(rows), width, dtype=torch.bool, device=model.device)
    for i, (row, start) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, device=model.device)
        counted[i, start : len(row)] = True
    # Padding stands on the right, where causal attention never looks, and is not counted.
    where = counted[:, 1:]
    targets = ids[:, 1:][where]
    logits = _logits(model, ids)[where]
    against = None if base is None else _logits(base, ids)[where]
    losses, divergences = _per_token(logits, targets, against)
    owners = torch.arange(len(rows), device=ids.device)[:, None].expand_as(where)[where]
    per_row = torch.zeros(2, len(rows), dtype=torch.float64, device=ids.device)
    per_row[0].index_add_(0, owners, losses)
    per_row[1].index_add_(0, owners, divergences)
    return per_row[0].tolist(), per_row[1].tolist()


def _logits(model: PreTrainedModel, ids: Int[Tensor, "rows width"]) -> Float[Tensor, "rows width-1 vocabulary"]:
    logits: Tensor = model(input_ids=ids, use_cache=False).logits
    # Prompt learning answers for its virtual tokens too, which come first.
    return logits[:, -ids.shape[1] : -1]


def _per_token(
    logits: Float[Tensor, "tokens vocabulary"],
    targets: Int[Tensor, " tokens"],
    against: Float[Tensor, "tokens vocabulary"] | None,
) -> tuple[Float[Tensor, " tokens"], Float[Tensor, " tokens"]]:
    """Loss and KL(base || model) of every token, in float64 sums of float32 terms, chunk by chunk.

    A divergence so small that the rounding of its terms would make it negative counts as none.
    """
    losses, divergences = [], []
    for at in range(0, len(targets), CHUNK_TOKENS):
        part = slice(at, at + CHUNK_TOKENS)
        logp = logits[part].float().log_softmax(-1)
        losses.append(-logp.gather(1, targets[part, None])[:, 0].double())
        if against is None:
            divergences.append(torch.zeros_like(losses[-1]))
        else:
            base = against[part].float().log_softmax(-1)
            divergences.append((base.exp() * (base - logp)).double().sum(-1).clamp(min=0))
    return torch.cat(losses), torch.cat(divergences)
