"""Decoupled weight decay multiplies weights by one number a step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.methods.isolation.decay import decay_factors
from holdfast.methods.isolation.scene import Scene


def factors(optimizer: torch.optim.Optimizer, tensors: dict[str, nn.Parameter]) -> dict[str, float]:
    return decay_factors(Scene(nn.Linear(1, 1), tensors, optimizer))


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"foreach": True}, {"lr": torch.tensor(0.25)}])
def test_it_is_what_a_step_without_gradients_does(options: dict[str, object]) -> None:
    tensors = {"one": nn.Parameter(torch.ones(3)), "other": nn.Parameter(torch.ones(3))}
    groups = [{"params": [tensors["one"]]}, {"params": [tensors["other"]], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, **{"lr": 0.25, "weight_decay": 0.5, **options})
    for tensor in tensors.values():
        tensor.grad = torch.zeros(3)
    found = factors(optimizer, tensors)
    optimizer.step()
    assert found == {"one": 0.875, "other": 1.0}
    assert all(torch.equal(tensors[name], torch.full((3,), factor)) for name, factor in found.items())


@pytest.mark.parametrize(
    ("kind", "decays"),
    [
        (lambda ts: torch.optim.SGD(ts, lr=0.25, weight_decay=0.5), False),
        (lambda ts: torch.optim.Adam(ts, lr=0.25, weight_decay=0.5), False),
        (lambda ts: torch.optim.Adam(ts, lr=0.25, weight_decay=0.5, decoupled_weight_decay=True), True),
        (lambda ts: torch.optim.NAdam(ts, lr=0.25, weight_decay=0.5, decoupled_weight_decay=True), True),
        (lambda ts: torch.optim.AdamW(ts, lr=0.25, weight_decay=0.5), True),
    ],
)
def test_decay_inside_of_the_gradient_is_none(kind: object, decays: bool) -> None:
    tensors = {"one": nn.Parameter(torch.ones(3))}
    assert factors(kind(list(tensors.values())), tensors) == {"one": 0.875 if decays else 1.0}
