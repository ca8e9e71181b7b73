"""LoTA trains everything for a while, goes back to the start, and trains what had moved most."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from rivals import (
    GRADIENTS,
    OPTIMIZERS,
    Loop,
    Written,
    ends_as_if_never_stopped,
    held_and_moved,
    holds_on_lora,
    largest,
    same,
)

from holdfast.core.errors import NotMeasurable, RecipeError
from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.lota import Lota
from holdfast.testing.laws import small_model

METHOD = Lota(ratio=0.1, calibration_steps=3)


def inside(name: str) -> bool:
    return ".layers." in name and "norm" not in name


def test_it_trains_as_a_loop_that_goes_back_and_starts_again() -> None:
    ours = Loop().isolate(METHOD).run(0, 7)
    twin = Written()
    start = twin.weights()
    for step in range(3):
        twin.backward(step)
        twin.step({})
    change = {name: (tensor - start[name]).detach().abs() for name, tensor in twin.tensors.items() if inside(name)}
    flat = largest(torch.cat([each.flatten() for each in change.values()]), 0.1)
    parts = flat.split([each.numel() for each in change.values()])
    held = {name: ~part.view_as(change[name]) for name, part in zip(change, parts, strict=True)}
    with torch.no_grad():
        for name, tensor in twin.tensors.items():
            tensor.copy_(start[name])
    twin.forget()
    rest = frozenset(twin.tensors) - frozenset(held)
    for step in range(3, 7):
        twin.backward(step)
        twin.step(held, skipped=rest)
    found = ours.isolation.mask()
    assert all(torch.equal(found[name].dense(), chosen) for name, chosen in held.items())
    assert same(ours.weights(), twin.weights())


def test_all_matrices_together_have_the_exact_share_and_all_else_is_held() -> None:
    mask = Loop().isolate(METHOD).run(0, 3).isolation.mask()
    sizes = [(bits.size, bits.size - bits.count()) for name, bits in mask.items() if inside(name)]
    assert sum(free for _, free in sizes) == math.floor(0.1 * sum(size for size, _ in sizes))
    assert len({free / size for size, free in sizes}) > 1
    assert all(bits.count() == bits.size for name, bits in mask.items() if not inside(name))


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_after_calibration_everything_is_where_it_started(build: Any) -> None:
    trained = Loop(build).isolate(METHOD)
    before = trained.weights()
    trained.run(0, 2)
    assert not same(before, trained.weights())
    trained.run(2, 3)
    assert same(before, trained.weights())
    assert not trained.optimizer.state
    held, moved = held_and_moved(trained, 3)
    assert not moved[held].any() and moved[~held].float().mean() > 0.9


def test_what_is_no_matrix_is_neither_copied_nor_averaged_after_calibration() -> None:
    trained = Loop().isolate(METHOD).run(0, 5)
    sizes = {name: tensor.numel() for name, tensor in trained.tensors.items()}
    matrices = sum(size for name, size in sizes.items() if inside(name))
    assert trained.isolation.extra_bytes() == 4 * matrices + sum(sizes.values()) / 8
    assert {name for name, t in trained.tensors.items() if t in trained.optimizer.state} == set(filter(inside, sizes))


def test_calibration_is_plain_training_bit_for_bit() -> None:
    assert same(Loop().isolate(METHOD).run(0, 2).weights(), Loop().run(0, 2).weights())


def test_it_says_that_calibration_counts_among_the_steps() -> None:
    said = "the first 3 steps chose what is trained, count among the steps of the run, and were taken back"
    assert said in Loop().isolate(METHOD).isolation.notes()


@pytest.mark.parametrize(("steps", "calibration"), [(4, 1), (30, 3), (99, 9), (1000, 100), (90_000, 100)])
def test_calibration_takes_a_hundred_steps_or_a_tenth(steps: int, calibration: int) -> None:
    assert Lota().rule(steps).schedule.first == calibration


def test_what_somebody_keeps_anyway_is_not_copied() -> None:
    attachment = METHOD.attach(small_model())
    optimizer = torch.optim.AdamW(attachment.trainable().values(), lr=1e-2)
    attachment.before_training(optimizer, 8)
    isolation: Isolation = attachment.isolation
    for tensor in attachment.trainable().values():
        tensor.grad = torch.ones_like(tensor)
    optimizer.step()
    bits = sum(-(-tensor.numel() // 8) for tensor in attachment.trainable().values())
    assert isolation.extra_bytes() <= bits
    assert not any("start." in key for key in isolation.state_dict())
    own = Loop().isolate(METHOD).run(0, 1).isolation
    assert own.extra_bytes() == 4 * sum(tensor.numel() for tensor in small_model().parameters())
    assert sum("rule.start." in key for key in own.state_dict()) == 21


def test_a_base_of_half_precision_goes_back_to_where_it_was() -> None:
    model = small_model().bfloat16()
    start = {name: tensor.detach().clone().float() for name, tensor in model.named_parameters()}
    attachment = Lota(calibration_steps=2).attach(model)
    optimizer = torch.optim.AdamW(attachment.trainable().values(), lr=1e-2)
    attachment.before_training(optimizer, 8)
    for _ in range(2):
        for tensor in attachment.trainable().values():
            tensor.grad = torch.ones_like(tensor)
        optimizer.step()
    assert same(start, {name: tensor.detach().clone() for name, tensor in attachment.trainable().items()})


def test_with_masked_gradients_weight_decay_alone_moves_what_is_held() -> None:
    decayed, still = (
        Loop(lambda ts, decay=decay: torch.optim.AdamW(ts, lr=1e-2, weight_decay=decay)).isolate(
            Lota(calibration_steps=2, acts="gradient")
        )
        for decay in (0.1, 0.0)
    )
    for trained, drifts in ((decayed, True), (still, False)):
        held, moved = held_and_moved(trained.run(0, 3), 3)
        assert (moved[held].float().mean() > 0.9) == drifts
        assert moved[~held].float().mean() > 0.9
        assert GRADIENTS in trained.isolation.notes()


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_resumed_within_calibration_or_after_it_ends_as_if_never_stopped(stop: int) -> None:
    ends_as_if_never_stopped(METHOD, stop=stop, end=6)


def test_it_works_on_an_adapter() -> None:
    holds_on_lora(Lota(calibration_steps=2))


def test_a_rate_of_zero_is_told() -> None:
    trained = Loop(lambda ts: torch.optim.AdamW(ts, lr=0.0)).isolate(METHOD)
    with pytest.raises(
        NotMeasurable, match="no weight has moved in the 3 steps of lota's calibration: is the learning"
    ):
        trained.run(0, 3)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"ratio": 0.0},
            "ratio=0.0 must be a share above 0 and at most 1: 0.1 trains ten percent, 1 trains everything",
        ),
        ({"calibration_steps": 0}, "calibration_steps=0 must be a whole number of steps of 1 or more"),
        ({"calibration_steps": 2.5}, "calibration_steps=2.5 must be a whole number of steps of 1 or more"),
        ({"calibration_steps": True}, "calibration_steps=True must be a whole number of steps of 1 or more"),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    assert f"lota: {fault}" in Lota(**options).faults()
    with pytest.raises(RecipeError):
        Lota(**options).attach(small_model())


def test_calibration_that_leaves_no_step_is_told() -> None:
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters())
    with pytest.raises(RecipeError, match="lota: calibration_steps=8 leaves none of the 8 steps for training"):
        Lota(calibration_steps=8).isolate(model, optimizer, steps=8)
    with pytest.raises(RecipeError, match="lota: the default of calibration_steps depends on how long training is"):
        Lota().isolate(model, optimizer)
