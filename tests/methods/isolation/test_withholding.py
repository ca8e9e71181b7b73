"""Gradients that an optimizer does not get are gone for the time of a step."""

from __future__ import annotations

import pytest
import torch
from rivals import OPTIMIZERS
from torch import nn

from holdfast.core.errors import HoldfastError
from holdfast.methods.isolation.withholding import Withholding, leaves_alone


def pair() -> dict[str, nn.Parameter]:
    tensors = {name: nn.Parameter(torch.ones(3)) for name in ("one", "other")}
    for tensor in tensors.values():
        tensor.grad = torch.ones(3)
    return tensors


def test_gradients_go_and_come_back() -> None:
    tensors = pair()
    gradient = tensors["one"].grad
    withholding = Withholding(tensors)
    withholding.take(["one"])
    withholding.take(["one"])  # a second time there is nothing to take
    assert tensors["one"].grad is None and tensors["other"].grad is not None
    withholding.give_back()
    assert tensors["one"].grad is gradient
    tensors["one"].grad = None
    withholding.give_back()
    assert tensors["one"].grad is None


def test_a_gradient_that_appears_within_the_step_is_told() -> None:
    tensors = pair()
    withholding = Withholding(tensors)
    withholding.take(["one"])
    tensors["one"].grad = torch.ones(3)
    with pytest.raises(HoldfastError, match="'one' was to be held and got a gradient within the step"):
        withholding.give_back()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torchs_optimizers_leave_tensors_without_gradients_alone(name: str) -> None:
    """Moved, decayed and averaged before, they rest to the last bit while there is no gradient; so do their moments."""
    tensors = {name: nn.Parameter(torch.randn(4, 5)) for name in ("one", "other")}
    optimizer = OPTIMIZERS[name](list(tensors.values()))
    assert leaves_alone(optimizer)
    for rests in (False, True, True):
        before = tensors["one"].detach().clone()
        state = {key: torch.as_tensor(value).clone() for key, value in optimizer.state[tensors["one"]].items()}
        for tensor in tensors.values():
            tensor.grad = torch.randn(4, 5)
        if rests:
            tensors["one"].grad = None
        optimizer.step()
        assert torch.equal(before, tensors["one"]) == rests
        now = optimizer.state[tensors["one"]]
        assert not rests or all(torch.equal(value, torch.as_tensor(now[key])) for key, value in state.items())


class Own(torch.optim.SGD):
    """An optimizer of somebody's own."""


def test_of_others_nobody_knows() -> None:
    tensors = list(pair().values())
    assert not leaves_alone(Own(tensors))
    assert not leaves_alone(torch.optim.LBFGS(tensors))
