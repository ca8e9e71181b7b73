"""LIFT trains the largest entries of what a low rank keeps of a matrix, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from rivals import (
    OPTIMIZERS,
    Loop,
    Written,
    drifts_at_gradient_level,
    ends_as_if_never_stopped,
    held_and_moved,
    holds_on_lora,
    largest,
    same,
)

from holdfast.core.errors import RecipeError
from holdfast.methods.lift import Lift, nearest_of_rank
from holdfast.testing.laws import small_model

METHOD = Lift(ratio=0.05, rank=8, interval=3)


def inside(name: str) -> bool:
    return ".layers." in name and "norm" not in name


def principal(weight: torch.Tensor, rank: int) -> torch.Tensor:
    """The slow twin: a full singular value decomposition in numpy, in float64."""
    left, values, right = np.linalg.svd(weight.detach().double().numpy())
    near = sum(values[i] * np.outer(left[:, i], right[i]) for i in range(rank))
    return torch.tensor(near)


@pytest.mark.parametrize("shape", [(7, 20), (20, 7), (9, 9)])
@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_nearest_matrix_of_a_rank_is_that_of_singular_values(shape: tuple[int, int], rank: int) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(nearest_of_rank(matrix, rank).double(), principal(matrix, rank), rtol=0, atol=1e-6)


def test_stacked_matrices_are_taken_one_by_one() -> None:
    stack = torch.randn(3, 6, 10, generator=torch.Generator().manual_seed(3))
    near = nearest_of_rank(stack, 2)
    for matrix, found in zip(stack, near, strict=True):
        torch.testing.assert_close(found.double(), principal(matrix, 2), rtol=0, atol=1e-6)


def test_singular_values_six_orders_apart_are_told_apart() -> None:
    """As far as float32 can hold them: the Gram matrix, in which they are twelve orders apart, is in float64."""
    draw = torch.Generator().manual_seed(3)
    left, right = (torch.linalg.qr(torch.randn(12, 12, generator=draw, dtype=torch.float64))[0] for _ in range(2))
    values = torch.logspace(0, -6, 12, dtype=torch.float64)
    exact = left * values @ right.mT
    near = (left[:, :9] * values[:9]) @ right.mT[:9]
    error = (nearest_of_rank(exact, 9).double() - near).norm()
    assert error < 0.05 * values[9]


def test_a_rank_that_is_not_exceeded_changes_nothing() -> None:
    matrix = torch.randn(5, 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(nearest_of_rank(matrix, 5), matrix) and torch.equal(nearest_of_rank(matrix, 128), matrix)


def test_it_trains_as_a_sparse_adam_written_out() -> None:
    """The twin keeps moments of what is chosen twice, starts newcomers at zero, and rests whatever is no matrix."""
    ours = Loop().isolate(METHOD).run(0, 7)
    twin = Written()
    rest = frozenset(name for name in twin.tensors if not inside(name))
    trained: dict[str, torch.Tensor] = {}
    for step in range(7):
        if step % 3 == 0:
            before = trained
            trained = {n: largest(principal(t, 8).abs(), 0.05) for n, t in twin.tensors.items() if n not in rest}
            for name, chosen in trained.items():
                newcomers = chosen & ~before.get(name, torch.zeros_like(chosen))
                twin.first[name][newcomers] = 0
                twin.second[name][newcomers] = 0
        twin.backward(step)
        twin.step({name: ~chosen for name, chosen in trained.items()}, skipped=rest)
    found = ours.isolation.mask()
    assert all(torch.equal(found[name].dense(), ~chosen) for name, chosen in trained.items())
    assert same(ours.weights(), twin.weights())


def test_every_matrix_has_its_exact_share_and_all_else_is_held() -> None:
    mask = Loop().isolate(Lift(ratio=0.07, rank=4), steps=40).run(0, 1).isolation.mask()
    for name, bits in mask.items():
        assert bits.size - bits.count() == (math.floor(0.07 * bits.size) if inside(name) else 0)


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_held_scalars_keep_their_bits_and_the_others_move(build: Any) -> None:
    held, moved = held_and_moved(Loop(build).isolate(METHOD).run(0, 1), 1)
    assert not moved[held].any() and moved[~held].float().mean() > 0.9


def test_what_is_no_matrix_is_not_copied() -> None:
    """Embedding, head and norms are held whole and only their bits are kept; matrices are kept in float32."""
    trained = Loop().isolate(METHOD).run(0, 1)
    sizes = {name: tensor.numel() for name, tensor in trained.tensors.items()}
    matrices = sum(size for name, size in sizes.items() if inside(name))
    assert trained.isolation.extra_bytes() == 4 * matrices + sum(sizes.values()) / 8
    assert trained.tensors["lm_head.weight"] not in trained.optimizer.state


def test_with_matrices_alone_eligible_all_else_is_trained() -> None:
    trained = Loop().isolate(Lift(eligible="matrices", interval=3))
    before = trained.weights()
    after = trained.run(0, 1).weights()
    assert (after["lm_head.weight"] != before["lm_head.weight"]).float().mean() > 0.9
    assert all(inside(name) for name in trained.isolation.mask())


def test_with_masked_gradients_held_scalars_drift() -> None:
    drifts_at_gradient_level(METHOD, before=1)


def test_resumed_it_ends_as_if_never_stopped() -> None:
    ends_as_if_never_stopped(METHOD)


def test_it_works_on_an_adapter_and_says_what_it_did_with_zeros() -> None:
    holds_on_lora(METHOD)
    attachment = Lift(on="lora(r=4)", interval=3).attach(small_model())
    optimizer = torch.optim.AdamW(attachment.trainable().values())
    attachment.before_training(optimizer, 8)
    for tensor in attachment.trainable().values():
        tensor.grad = torch.ones_like(tensor)
    optimizer.step()
    said = "14 tensors were all zero at a choice: of these the first entries were trained"
    assert said in attachment.course().notes
    again = Lift(on="lora(r=4)", interval=3).attach(small_model())
    again.restore(attachment.state())
    again.before_training(torch.optim.AdamW(again.trainable().values()), 8)
    assert said in again.course().notes


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"ratio": 0.0},
            "ratio=0.0 must be a share above 0 and at most 1: 0.1 trains ten percent, 1 trains everything",
        ),
        ({"rank": 0}, "rank=0 must be above 0"),
        ({"rank": 2.5}, "rank=2.5 must be a whole number"),
        ({"interval": 0}, "interval=0 must be a whole number of steps of 1 or more, or infinite"),
        ({"interval": 1.5}, "interval=1.5 must be a whole number of steps of 1 or more, or infinite"),
        ({"interval": math.nan}, "interval=nan must be a whole number of steps of 1 or more, or infinite"),
        ({"interval": "often"}, "interval='often' must be a whole number of steps of 1 or more, or infinite"),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    assert f"lift: {fault}" in Lift(**options).faults()
    with pytest.raises(RecipeError):
        Lift(**options).attach(small_model())


def test_an_infinite_interval_can_be_read_again() -> None:
    assert Lift(interval=math.inf).spec() == "lift(interval=1e999)"
    assert Lift(interval=math.inf).faults() == ()


def test_without_the_number_of_steps_its_default_interval_is_told() -> None:
    model = small_model()
    with pytest.raises(
        RecipeError, match="lift: the default of interval depends on how long training is; give interval"
    ):
        Lift().isolate(model, torch.optim.AdamW(model.parameters()))
    Lift(interval=5).isolate(model, torch.optim.AdamW(model.parameters()))
