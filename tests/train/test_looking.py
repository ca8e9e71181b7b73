"""A method may look at data before training, and leaves nothing behind but what it remembers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from small import batch, bits, same_bits
from torch import nn
from transformers import PreTrainedModel

from holdfast.core.errors import HoldfastError
from holdfast.methods.full import FullAttachment
from holdfast.train import looking
from holdfast.train.looking import Batches, look
from holdfast.weights.material import Batch, Material


def given(*seeds: int) -> Callable[[], Iterator[Batch]]:
    return lambda: (batch(seed) for seed in seeds)


class Curious(FullAttachment):
    """An attachment that does what it is told to when it may look."""

    def __init__(self, model: nn.Module, does: Callable[[Curious, Material], Any]) -> None:
        super().__init__(model)
        self.does = does

    def prepare(self, material: Material) -> None:
        self.seen = self.does(self, material)


def looked(model: PreTrainedModel, does: Callable[[Curious, Material], Any]) -> Curious:
    attachment = Curious(model, does)
    look(attachment, {"one": given(1, 2), "other": given(3)}, given(4))
    return attachment


def test_it_sees_the_batches_of_every_task_and_of_the_source_as_often_as_it_likes(model: PreTrainedModel) -> None:
    def does(attachment: Curious, material: Material) -> Any:
        return [[len(list(stream)) for stream in (*material.target.values(), material.source)] for _ in range(2)]

    attachment = looked(model, does)
    assert attachment.seen == [[2, 1, 1], [2, 1, 1]]


def test_random_numbers_go_on_as_if_it_had_drawn_none(model: PreTrainedModel) -> None:
    def draws(attachment: Curious, material: Material) -> Any:
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)

    def numbers() -> tuple[float, float, float]:
        return float(torch.rand(())), float(np.random.random()), random.random()

    def seeded() -> None:
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)

    seeded()
    wanted = numbers()
    seeded()
    looked(model, draws)
    assert numbers() == wanted


def test_gradients_and_modes_are_put_back(model: PreTrainedModel) -> None:
    def trains(attachment: Curious, material: Material) -> Any:
        attachment.model.train()
        attachment.model(**next(iter(material.source))).loss.backward()

    before = bits(model)
    attachment = looked(model.eval(), trains)
    assert not attachment.model.training
    assert all(tensor.grad is None for tensor in model.parameters())
    assert same_bits(bits(model), before)


def test_a_tensor_that_is_left_otherwise_is_named(model: PreTrainedModel) -> None:
    def moves(attachment: Curious, material: Material) -> Any:
        next(iter(material.target["one"]))
        with torch.no_grad():
            attachment.model.get_parameter("model.norm.weight")[3].add_(1e-6)

    with pytest.raises(HoldfastError, match=r"changed 'model.norm.weight' while it looked at data.*must leave all"):
        looked(model, moves)


def test_a_method_that_looks_at_nothing_costs_no_comparison(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(looking, "_mark", lambda tensor: counted.append("") or "")
    looked(model, lambda attachment, material: None)
    assert counted == []
    looked(model, lambda attachment, material: next(iter(material.source)))
    assert len(counted) == 2 * len(model.state_dict())


def test_a_stream_is_made_when_it_is_read() -> None:
    made: list[str] = []

    def make() -> Iterator[Batch]:
        made.append("made")
        yield batch(1)

    stream = Batches(make, lambda: made.append("opened"))
    assert made == []
    assert len(list(stream)) == 1 and len(list(stream)) == 1
    assert made == ["opened", "made"] * 2
