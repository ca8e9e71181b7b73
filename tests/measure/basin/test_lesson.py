"""The surrogate is the loss on the answers of training examples, and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from holdfast.core.errors import BadData, NotMeasurable
from holdfast.measure.basin.ability import OfTask
from holdfast.measure.basin.lesson import answering
from holdfast.models.base import Base
from holdfast.tasks.recall import Recall

from .test_ability import Told


class Untaught(Told):
    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Any]:
        return [] if split == "train" else super().examples(split, limit, seed)


class Long(Told):
    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Any]:
        (one,) = super().examples(split, 1, seed)
        return [type(one)(one.id, "abc " * 40, one.answer)]


def of(task: Any, tokenizer: Any) -> OfTask:
    return OfTask(task, tokenizer, tuple(task.examples("test")), "key")


def test_it_is_the_mean_loss_of_the_answers_a_token(miniature: Base) -> None:
    model, tokenizer = miniature.model, miniature.tokenizer
    loss = answering(model, of(Recall(), tokenizer), 5)
    nats = tokens = 0.0
    for example in Recall().examples("train", 5):
        start = len(tokenizer(example.prompt)["input_ids"])
        row = torch.tensor([tokenizer(f"{example.prompt}{example.answer}")["input_ids"]])
        with torch.no_grad():
            said = model(input_ids=row).logits[0].log_softmax(-1)
        for at in range(start, row.shape[1]):
            nats -= float(said[at - 1, row[0, at]])
            tokens += 1
    with torch.no_grad():
        assert float(loss(model)) == pytest.approx(nats / tokens, rel=1e-4)


def test_without_training_examples_there_is_no_worst_case(model: PreTrainedModel, letters: Any) -> None:
    with pytest.raises(NotMeasurable, match="no worst case of 'told': it has no training examples"):
        answering(model, of(Untaught(), letters), 4)


def test_an_example_that_is_too_long_is_told(model: PreTrainedModel, letters: Any) -> None:
    with pytest.raises(
        BadData, match=r"the longest prompt to be climbed has \d+ tokens with its answer, and the model reads 64"
    ):
        answering(model, of(Long(), letters), 4)
