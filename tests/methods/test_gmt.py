"""Gradient-mask tuning trains the largest gradients of every tensor, and of every step its own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from rivals import (
    LR,
    OPTIMIZERS,
    Loop,
    Written,
    drifts_at_gradient_level,
    ends_as_if_never_stopped,
    holds_at_update_level,
    holds_on_lora,
    largest,
    same,
)

from holdfast.core.errors import NotMeasurable, RecipeError
from holdfast.methods.gmt import Gmt
from holdfast.testing.laws import small_model


@pytest.mark.parametrize("accumulate", [1, 3])
def test_it_trains_as_a_loop_that_sorts_all_gradients_in_every_step(accumulate: int) -> None:
    ours = Loop(accumulate=accumulate).isolate(Gmt(ratio=0.2)).run(0, 4)
    twin = Written(accumulate=accumulate)
    for step in range(4):
        twin.backward(step)
        held = {name: ~largest(tensor.grad.abs(), 0.2) for name, tensor in twin.tensors.items()}
        twin.step(held)
    assert all(torch.equal(bits.dense(), held[name]) for name, bits in ours.isolation.mask().items())
    assert same(ours.weights(), twin.weights())


def test_published_moments_average_masked_gradients() -> None:
    """At gradient level the twin is plain AdamW on gradients that are zero where they are small."""
    ours = Loop().isolate(Gmt(ratio=0.2, acts="gradient")).run(0, 4)
    twin = Written()
    for step in range(4):
        twin.backward(step)
        for tensor in twin.tensors.values():
            tensor.grad[~largest(tensor.grad.abs(), 0.2)] = 0
        twin.step({})
    assert same(ours.weights(), twin.weights())


def test_every_tensor_has_its_exact_share() -> None:
    mask = Loop().isolate(Gmt(ratio=0.07)).run(0, 2).isolation.mask()
    assert set(mask) == {name for name, _ in small_model().named_parameters()}
    assert all(bits.size - bits.count() == math.floor(0.07 * bits.size) for bits in mask.values())


def test_clipping_all_gradients_by_their_norm_chooses_the_same() -> None:
    masks = []
    for clip in (None, 0.125):
        trained = Loop().isolate(Gmt())
        trained.backward(0)
        if clip is not None:
            for tensor in trained.tensors.values():
                tensor.grad *= clip
        trained.optimizer.step()
        masks.append(trained.isolation.mask())
    assert masks[0] == masks[1]


def test_all_of_it_is_plain_training_bit_for_bit() -> None:
    assert same(Loop().isolate(Gmt(ratio=1.0)).run(0, 4).weights(), Loop().run(0, 4).weights())


def test_a_tensor_without_a_gradient_is_left_alone() -> None:
    trained = Loop().isolate(Gmt())
    trained.backward(0)
    trained.tensors["lm_head.weight"].grad = None
    before = trained.weights()["lm_head.weight"]
    trained.optimizer.step()
    assert torch.equal(trained.weights()["lm_head.weight"], before)


def test_gradients_that_are_all_zero_are_told() -> None:
    trained = Loop().isolate(Gmt())
    for tensor in trained.tensors.values():
        tensor.grad = torch.zeros_like(tensor)
    with pytest.raises(NotMeasurable, match="after step 0 all gradients of the 21 tensors that could be held are zero"):
        trained.optimizer.step()


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_held_scalars_keep_their_bits_under_any_optimizer(build: Any) -> None:
    holds_at_update_level(Gmt(), build=build)


def test_as_published_they_drift() -> None:
    drifts_at_gradient_level(Gmt())


def test_half_precision_weights_are_held_too() -> None:
    trained = Loop(build=lambda ts: torch.optim.AdamW(ts, lr=LR), model=small_model().bfloat16()).isolate(Gmt())
    before = trained.weights()
    after = trained.run(0, 1).weights()
    for name, bits in trained.isolation.mask().items():
        assert torch.equal(after[name][bits.dense()], before[name][bits.dense()])


def test_resumed_it_ends_as_if_never_stopped() -> None:
    ends_as_if_never_stopped(Gmt())


def test_it_works_on_an_adapter() -> None:
    holds_on_lora(Gmt())


@pytest.mark.parametrize("ratio", [0, 0.0, -0.1, 1.1, math.nan, True, "half"])
def test_a_share_out_of_range_is_told(ratio: Any) -> None:
    fault = f"gmt: ratio={ratio!r} must be a share above 0 and at most 1: 0.1 trains ten percent, 1 trains everything"
    assert fault in Gmt(ratio=ratio).faults()
    with pytest.raises(RecipeError):
        Gmt(ratio=ratio).attach(small_model())
