"""The likeliest of several completions; each context is run once, whatever the number of its choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.batches import buckets
from holdfast.core.task import Example
from holdfast.measure.cached import Rows, logits_of, one_by_one, room, run
from holdfast.measure.prompts import Asked, check_begun, check_length, with_completions


@torch.inference_mode()
def choice_loglikelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    max_rows: int = 64,
    max_tokens: int = 16_384,
    tick: Callable[[int], None] = lambda rows: None,
) -> list[tuple[float, ...]]:
    """Log-likelihood of every choice of every example, in nats, given its prompt.

    Raises:
        BadData: If a prompt with a choice does not fit into what the model can read, or either of them is empty.
    """
    asked = [with_completions(tokenizer, example, example.choices) for example in examples]
    for example, item in zip(examples, asked, strict=True):
        check_begun(example, item.prompt)
    lengths = [len(item.prompt) + max(map(len, item.completions)) for item in asked]
    check_length("to be chosen from", max(lengths), room(model))
    found: dict[int, tuple[float, ...]] = {}
    most_choices = max(len(item.completions) for item in asked)
    most = 1 if one_by_one(model) else max(1, max_rows // most_choices)
    for batch in buckets(lengths, max_rows=most, max_tokens=max_tokens // most_choices):
        scores = _batch(model, [asked[i] for i in batch], tokenizer.pad_token_id)
        found.update(zip(batch, scores, strict=True))
        tick(len(batch))
    return [found[index] for index in range(len(examples))]


def likeliest(example: Example, loglikelihoods: Sequence[float]) -> str:
    """The choice with the highest log-likelihood a byte, so that long choices are not at a disadvantage."""
    rates = [value / len(choice.encode()) for value, choice in zip(loglikelihoods, example.choices, strict=True)]
    return example.choices[rates.index(max(rates))]


def _batch(model: PreTrainedModel, asked: Sequence[Asked], pad: int) -> list[tuple[float, ...]]:
    contexts = run(model, [item.prompt for item in asked], pad)
    first = contexts.last.log_softmax(-1)
    scores = [[float(first[i, ids[0]]) for ids in item.completions] for i, item in enumerate(asked)]
    longer = [(i, k) for i, item in enumerate(asked) for k, ids in enumerate(item.completions) if len(ids) > 1]
    if longer:
        for (i, k), rest in zip(longer, _rest(model, asked, longer, contexts, pad), strict=True):
            scores[i][k] += rest
    return [tuple(row) for row in scores]


def _rest(
    model: PreTrainedModel, asked: Sequence[Asked], longer: Sequence[tuple[int, int]], contexts: Rows, pad: int
) -> list[float]:
    """Log-likelihood of each longer completion after its first token."""
    counts = [sum(i == row for row, _ in longer) for i in range(len(asked))]
    completions = [asked[i].completions[k] for i, k in longer]
    # The last token of a completion is predicted and never needs to be read.
    logits = logits_of(model, contexts.repeated(counts), [ids[:-1] for ids in completions], pad)
    found = []
    for row, ids in zip(logits, completions, strict=True):
        logp = row[: len(ids) - 1].float().log_softmax(-1)
        found.append(float(logp.gather(1, torch.tensor(ids[1:], device=row.device)[:, None]).sum()))
    return found
