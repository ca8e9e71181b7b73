"""MoFO trains the largest of Adam's momentum in every tensor, as it will be after the step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from rivals import (
    DECAY,
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

from holdfast.core.errors import HoldfastError
from holdfast.methods.isolation.isolation import DECAYS
from holdfast.methods.mofo import Mofo
from holdfast.testing.laws import small_model


@pytest.mark.parametrize("decays", [False, True])
def test_it_trains_as_a_loop_that_sorts_all_momenta_in_every_step(decays: bool) -> None:
    ours = Loop().isolate(Mofo(ratio=0.1, decay_goes_on=decays)).run(0, 4)
    twin = Written()
    for step in range(4):
        twin.backward(step)
        momenta = {name: 0.9 * twin.first[name] + 0.1 * tensor.grad for name, tensor in twin.tensors.items()}
        held = {name: ~largest(momentum.abs(), 0.1) for name, momentum in momenta.items()}
        twin.step(held, decayed=decays)
        assert all(torch.allclose(twin.first[name], momentum, rtol=1e-5) for name, momentum in momenta.items())
    found = ours.isolation.mask()
    # Momentum written out rounds otherwise than lerp: a scalar or two may change places.
    assert sum(int((bits.dense() != held[name]).sum()) for name, bits in found.items()) <= 4
    for name, tensor in ours.weights().items():
        assert (tensor - twin.tensors[name]).abs().gt(1e-6).sum() <= 4


@pytest.mark.parametrize("build", ["adamw", "adamw fused", "adamw foreach"])
def test_what_it_ranks_is_what_adam_keeps_after_the_step(build: str) -> None:
    trained = Loop(OPTIMIZERS[build]).isolate(Mofo()).run(0, 3)
    for name, bits in trained.isolation.mask().items():
        momentum = trained.optimizer.state[trained.tensors[name]]["exp_avg"].abs()
        free = ~bits.dense()
        assert free.sum() == math.floor(0.1 * bits.size)
        assert momentum[free].min() >= momentum[~free].max() * (1 - 1e-6)


@pytest.mark.parametrize(
    "build",
    [
        lambda ts: torch.optim.Adam(ts, lr=LR, weight_decay=3.0),  # decay inside of the gradient
        lambda ts: torch.optim.AdamW(ts, lr=LR, maximize=True),
        lambda ts: torch.optim.NAdam(ts, lr=LR, weight_decay=3.0),
        lambda ts: torch.optim.AdamW([{"params": ts[:4], "betas": (0.5, 0.9)}, {"params": ts[4:]}], lr=LR),
    ],
    ids=["adam", "maximize", "nadam", "groups"],
)
def test_it_knows_what_other_adams_average(build: Any) -> None:
    trained = Loop(build).isolate(Mofo()).run(0, 3)
    for name, bits in trained.isolation.mask().items():
        momentum = trained.optimizer.state[trained.tensors[name]]["exp_avg"].abs()
        assert momentum[~bits.dense()].min() >= momentum[bits.dense()].max() * (1 - 1e-5)


def test_as_in_the_public_code_decay_goes_on() -> None:
    trained = Loop().isolate(Mofo(decay_goes_on=True)).run(0, 3)
    assert DECAYS in trained.isolation.notes() and DECAYS not in Loop().isolate(Mofo()).isolation.notes()
    before = trained.weights()
    after = trained.run(3, 4).weights()
    for name, bits in trained.isolation.mask().items():
        assert torch.equal(after[name][bits.dense()], (before[name] * (1 - LR * DECAY))[bits.dense()])


def test_decay_inside_of_the_gradient_is_undone_with_it() -> None:
    build = lambda ts: torch.optim.Adam(ts, lr=LR, weight_decay=DECAY)  # noqa: E731
    one, other = (Loop(build).isolate(Mofo(decay_goes_on=decays)).run(0, 3).weights() for decays in (True, False))
    assert same(one, other)


def test_all_of_it_is_plain_training_bit_for_bit() -> None:
    assert same(Loop().isolate(Mofo(ratio=1.0)).run(0, 4).weights(), Loop().run(0, 4).weights())


@pytest.mark.parametrize("build", ["sgd", "adafactor"])
def test_an_optimizer_without_momentum_of_adams_kind_is_told(build: str) -> None:
    trained = Loop(OPTIMIZERS[build]).isolate(Mofo())
    with pytest.raises(
        HoldfastError, match=r"importance is the size of Adam's momentum, and \w+ keeps none of that kind"
    ):
        trained.run(0, 1)


@pytest.mark.parametrize("build", ["adamw", "adamw fused", "adamw foreach"])
def test_held_scalars_keep_their_bits(build: str) -> None:
    holds_at_update_level(Mofo(), build=OPTIMIZERS[build])


def test_with_masked_gradients_they_drift() -> None:
    drifts_at_gradient_level(Mofo())


@pytest.mark.parametrize("method", [Mofo(), Mofo(decay_goes_on=True)], ids=lambda method: method.spec())
def test_resumed_it_ends_as_if_never_stopped(method: Mofo) -> None:
    ends_as_if_never_stopped(method)


def test_it_works_on_an_adapter() -> None:
    holds_on_lora(Mofo())


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"ratio": 0.0},
            "ratio=0.0 must be a share above 0 and at most 1: 0.1 trains ten percent, 1 trains everything",
        ),
        ({"decay_goes_on": 1}, "decay_goes_on=1 must be True or False"),
        ({"acts": "loss"}, "acts='loss' must be one of update, gradient"),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    assert f"mofo: {fault}" in Mofo(**options).faults()
    with pytest.raises(HoldfastError):
        Mofo(**options).attach(small_model())
