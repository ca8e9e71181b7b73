"""A base of random weights, an adapter that moves some of its answers, and questions to which either of them is right.

On what is learned the tuned model is right, on what is kept the base. So a part of the items changes on the way.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.harness import llama
from holdfast.core.task import Ask, Example, Split, Task
from holdfast.measure.answers import answers
from holdfast.measure.choices import choice_loglikelihoods, likeliest
from holdfast.measure.walking import Questions
from holdfast.models.base import Base, open_base
from holdfast.tasks.arithmetic import Arithmetic
from holdfast.tasks.endings import Endings
from holdfast.tasks.recall import Recall
from holdfast.weights.quiet import quiet

HIDDEN, LAYERS, RANK = 512, 8, 8
ITEMS = 32
SIZE = 0.003
"""Of the entries of the adapter's B: about half of the longer answers are others at the end."""


@dataclass(frozen=True)
class Echo:
    """Questions of another task, to which the answer of a model is the right one.

    Attributes:
        name: Of the task.
        of: Whose questions they are.
        right: The right answer by id of the question.
    """

    name: str
    of: Task
    right: Mapping[str, str]

    @property
    def ask(self) -> Ask:
        return self.of.ask

    @property
    def chance_frac(self) -> float:
        return self.of.chance_frac

    @property
    def max_new_tokens(self) -> int:
        return self.of.max_new_tokens

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        return self.of.examples(split, limit, seed)

    def grade(self, example: Example, response: str) -> float:
        return float(response == self.right[example.id])


def planted(folder: Path) -> Questions:
    """The questions over the base, the adapter written to a folder."""
    tokenizer = open_base("miniature").tokenizer
    model = llama(len(tokenizer), HIDDEN, LAYERS)
    with quiet():
        adapter = get_peft_model(
            copy.deepcopy(model), LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
        ).eval()
    with torch.no_grad():
        for name, tensor in adapter.named_parameters():
            if "lora_B" in name:
                tensor.copy_(SIZE * torch.randn_like(tensor))
    adapter.save_pretrained(folder)
    learn: Task = Recall()
    keep: tuple[Task, ...] = (Arithmetic(), Endings())
    return Questions(
        Base("random", model, tokenizer, "random"),
        {"learn": Echo("learn", learn, said(adapter, tokenizer, learn))},
        {task.name: Echo(task.name, task, said(model, tokenizer, task)) for task in keep},
        limit=ITEMS,
    )


def said(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task) -> dict[str, str]:
    """What a model answers, by id of the question."""
    items = task.examples("validation", ITEMS)
    if task.ask == "choose":
        found = choice_loglikelihoods(model, tokenizer, items)
        return {item.id: likeliest(item, values) for item, values in zip(items, found, strict=True)}
    given = answers(model, tokenizer, items, max_new_tokens=task.max_new_tokens)
    return {item.id: answer.text for item, answer in zip(items, given, strict=True)}
