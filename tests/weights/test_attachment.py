"""Hooks that interfere with nothing, and what every method and attachment has."""

from __future__ import annotations

import pytest
from small import METHODS, bits, moved, same_bits
from transformers import PreTrainedModel

from holdfast.weights.attachment import Hookless
from holdfast.weights.contracts import Attachment, Method


def test_hooks_do_nothing_unless_they_are_overridden() -> None:
    hookless = Hookless()
    assert hookless.penalty() is None
    assert hookless.state() == {}
    hookless.before_forward(0, 1)
    hookless.after_backward(0, 1)
    hookless.after_step(0, 1)
    hookless.restore({})


@pytest.mark.parametrize("spec", METHODS)
def test_every_method_and_attachment_has_what_the_contract_asks_for(model: PreTrainedModel, spec: str) -> None:
    assert isinstance(METHODS[spec], Method)
    assert isinstance(moved(METHODS[spec], model), Attachment)


@pytest.mark.parametrize("spec", METHODS)
def test_initial_tensors_are_kept_as_they_were(model: PreTrainedModel, spec: str) -> None:
    attachment = moved(METHODS[spec], model)
    initial = attachment.initial()
    assert list(initial) == list(attachment.trainable())
    assert any(not initial[name].equal(tensor) for name, tensor in attachment.trainable().items())


@pytest.mark.parametrize("spec", METHODS)
def test_detaching_gives_the_base_back_with_its_flags(model: PreTrainedModel, spec: str) -> None:
    model.model.norm.weight.requires_grad_(False)
    before = bits(model)
    base = moved(METHODS[spec], model).detach()
    assert base is model
    assert same_bits(bits(model), before)
    assert all(tensor.grad is None for tensor in model.parameters())
