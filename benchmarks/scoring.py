"""Scoring of a suite: one request at a time against shared beginnings and batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.harness import llama, side_by_side, table
from holdfast.core.task import Example
from holdfast.measure.answers import answers
from holdfast.measure.choices import choice_loglikelihoods
from holdfast.models.base import open_base
from holdfast.tasks.endings import Endings
from holdfast.tasks.recall import Recall

ITEMS, SHOTS, NEW_TOKENS = 48, 5, 6


def few_shot(task: Endings | Recall, shots: int) -> list[Example]:
    """Items of a task, each after the same worked examples."""
    worked = "".join(f"{e.prompt}{e.answer}\n" for e in task.examples("train", shots))
    return [Example(e.id, worked + str(e.prompt), e.answer, e.choices) for e in task.examples("test", ITEMS)]


@torch.inference_mode()
def choices_one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, items: Sequence[Example]
) -> list[tuple[float, ...]]:
    """Log-likelihood of every choice, each with its whole prompt in a pass of its own."""
    found = []
    for item in items:
        start = len(tokenizer(item.prompt)["input_ids"])
        scores = []
        for choice in item.choices:
            ids = tokenizer(str(item.prompt) + choice, return_tensors="pt")["input_ids"]
            logp = model(input_ids=ids).logits[0, start - 1 : -1].log_softmax(-1)
            scores.append(float(logp.gather(1, ids[0, start:, None]).sum()))
        found.append(tuple(scores))
    return found


@torch.inference_mode()
def answers_one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, items: Sequence[Example]
) -> list[str]:
    """Greedy answers by transformers' own generation, one prompt at a time."""
    found = []
    for item in items:
        ids = tokenizer(item.prompt, return_tensors="pt")["input_ids"]
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False)
        found.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return found


def run() -> str:
    """Assert equal scores, time, and return the tables."""
    torch.set_num_threads(1)
    tokenizer = open_base("miniature").tokenizer
    model = llama(len(tokenizer))
    tables = []
    for shots in (SHOTS, 0):
        tables.append(_choices(model, tokenizer, shots))
        tables.append(_answers(model, tokenizer, shots))
    return "\n".join(tables)


def _choices(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, shots: int) -> str:
    items = few_shot(Endings(), shots)
    slow = partial(choices_one_by_one, model, tokenizer, items)
    fast = partial(choice_loglikelihoods, model, tokenizer, items)
    difference = np.abs(np.array(slow()) - np.array(fast())).max()
    assert difference < 1e-4, difference
    return _table(f"Multiple choice, {shots}-shot, {ITEMS} items of 4 choices", slow, fast)


def _answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, shots: int) -> str:
    items = few_shot(Recall(), shots)
    slow = partial(answers_one_by_one, model, tokenizer, items)
    fast = partial(answers, model, tokenizer, items, max_new_tokens=NEW_TOKENS)
    assert [answer.text for answer in fast()] == slow()
    return _table(f"Exact match by generation, {shots}-shot, {ITEMS} items of {NEW_TOKENS} new tokens", slow, fast)


def _table(title: str, slow: Callable[[], object], fast: Callable[[], object]) -> str:
    ways = {
        "one request at a time": slow,
        "one request at a time, again": slow,
        "shared beginnings and buckets": fast,
    }
    return table(f"{title}, hidden 256, 4 layers", side_by_side(ways), "one request at a time")
