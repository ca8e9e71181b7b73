"""An update is put on a model for a while, and leaves no trace."""

from __future__ import annotations

import math

import pytest
import torch
from small import bits, same_bits
from torch import nn
from transformers import PreTrainedModel

from holdfast.algebra.delta import Delta, Dense, Scaled, Sum
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.sparse import Sparse
from holdfast.core.errors import IncompatibleUpdate
from holdfast.testing.laws import small_model
from holdfast.weights.update import Update

Q = "model.layers.0.self_attn.q_proj.weight"
UP = "model.layers.1.mlp.up_proj.weight"
NORM = "model.norm.weight"


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def update() -> Update:
    return Update(
        {
            Q: LowRank(normal(64, 2), normal(2, 64, seed=1)),
            UP: Sparse(torch.tensor([5, 77]), torch.tensor([1.0, -2.0]), (128, 64)),
            NORM: Dense(normal(64, seed=2)),
        }
    )


def matrices(update: Update) -> dict[str, torch.Tensor]:
    return {name: change.dense() for name, change in update.items()}


def test_it_is_a_mapping_of_names_to_changes(update: Update) -> None:
    assert list(update) == [Q, UP, NORM]
    assert len(update) == 3
    assert NORM in update and "model.embed_tokens.weight" not in update


def test_its_norm_is_that_of_all_changes_together(update: Update) -> None:
    wanted = torch.cat([matrix.double().flatten() for matrix in matrices(update).values()]).norm()
    assert update.norm() == pytest.approx(float(wanted), rel=1e-6)
    assert Update({}).norm() == 0.0


@pytest.mark.parametrize("factor", [0.0, 0.5, -2.0])
def test_scaling_keeps_the_forms(update: Update, factor: float) -> None:
    scaled = update.scaled(factor)
    assert list(scaled) == list(update)
    assert all(isinstance(change, Scaled) and change.shape == update[name].shape for name, change in scaled.items())
    for name, matrix in matrices(update).items():
        torch.testing.assert_close(scaled[name].dense(), factor * matrix)
    assert scaled.norm() == pytest.approx(abs(factor) * update.norm())


def test_a_part_is_taken_by_name(update: Update) -> None:
    assert list(update.only(lambda name: "layers" in name)) == [Q, UP]
    assert len(update.only(lambda name: False)) == 0


def test_two_updates_lie_one_on_top_of_the_other(update: Update) -> None:
    other = Update({UP: Dense(normal(128, 64, seed=3)), "lm_head.weight": Dense(normal(128, 64, seed=4))})
    both = update.plus(other)
    assert list(both) == [Q, UP, NORM, "lm_head.weight"]
    assert isinstance(both[UP], Sum)
    assert both[Q] is update[Q] and both["lm_head.weight"] is other["lm_head.weight"]
    torch.testing.assert_close(both[UP].dense(), update[UP].dense() + other[UP].dense())


def test_updates_of_different_bases_are_not_added(update: Update) -> None:
    with pytest.raises(IncompatibleUpdate) as caught:
        update.plus(Update({Q: Dense(normal(64, 32))}))
    assert str(caught.value) == f"'{Q}' has shape (64, 64) here and (64, 32) there"


def test_inside_the_block_the_update_is_in_the_weights(model: PreTrainedModel, update: Update) -> None:
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    with update.added_to(model) as changed:
        assert changed is model
        for name, tensor in model.named_parameters():
            wanted = before[name] + update[name].dense() if name in update else before[name]
            torch.testing.assert_close(tensor.detach(), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("fails", [False, True])
def test_on_leaving_the_model_is_bit_for_bit_what_it_was(update: Update, dtype: torch.dtype, fails: bool) -> None:
    model = small_model().to(dtype)
    model.model.norm.weight.requires_grad_(False)
    before = bits(model)
    try:
        with update.added_to(model):
            assert not same_bits(bits(model), before)
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert same_bits(bits(model), before)


def test_what_was_done_to_the_weights_inside_the_block_is_undone_too(model: PreTrainedModel, update: Update) -> None:
    before = bits(model)
    with update.added_to(model), torch.no_grad():
        dict(model.named_parameters())[Q].fill_(math.nan)
    assert same_bits(bits(model), before)


def test_the_sum_is_formed_in_float32_and_rounded_once() -> None:
    # 1 + 2^-8 is halfway between two neighbours in bfloat16, and the rest of the change tips it upwards.
    model = nn.Linear(1, 1, bias=False).bfloat16()
    model.weight.data.fill_(1.0)
    with Update({"weight": Dense(torch.tensor([[2.0**-8 + 2.0**-17]]))}).added_to(model):
        assert model.weight.item() == 1 + 2.0**-7


def test_a_base_of_float64_is_not_rounded_by_a_change_of_float32() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(1 / 3)
    with Update({"weight": Dense(torch.zeros(1, 1))}).added_to(model):
        assert model.weight.item() == 1 / 3


class Failing(Delta):
    """A change that cannot be read, such as one on a disk that has gone."""

    shape = (64,)

    def dense(self) -> torch.Tensor:
        raise OSError("gone")


def test_a_change_that_fails_half_way_leaves_the_model_untouched(model: PreTrainedModel, update: Update) -> None:
    before = bits(model)
    with (
        pytest.raises(OSError, match="gone"),
        update.only(lambda name: name != NORM).plus(Update({NORM: Failing()})).added_to(model),
    ):
        pytest.fail("the block was entered")
    assert same_bits(bits(model), before)


def test_a_weight_that_is_missing_is_named_and_nothing_is_changed(model: PreTrainedModel, update: Update) -> None:
    before = bits(model)
    odd = update.plus(Update({"model.layers.7.w": Dense(torch.ones(1)), "x": Dense(torch.ones(1))}))
    with pytest.raises(IncompatibleUpdate) as caught, odd.added_to(model):
        pytest.fail("the block was entered")
    assert str(caught.value) == (
        "2 of 5 changed weights are not in this model, the first is 'model.layers.7.w'; "
        "was the update made from another architecture?"
    )
    assert same_bits(bits(model), before)


def test_a_weight_of_another_shape_is_named_and_nothing_is_changed(model: PreTrainedModel, update: Update) -> None:
    before = bits(model)
    odd = update.plus(Update({"lm_head.weight": Dense(torch.ones(128, 32))}))
    with pytest.raises(IncompatibleUpdate) as caught, odd.added_to(model):
        pytest.fail("the block was entered")
    assert str(caught.value) == (
        "'lm_head.weight' has shape (128, 64) in this model and (128, 32) in the update; was it made from another base?"
    )
    assert same_bits(bits(model), before)


def test_no_update_changes_nothing(model: PreTrainedModel) -> None:
    before = bits(model)
    with Update({}).added_to(model):
        assert same_bits(bits(model), before)


def test_what_moves_apart_is_known_of_every_part_and_sum() -> None:
    update = Update({"a": Dense(torch.ones(2)), "b": Dense(torch.ones(2))}, [("a", "c")])
    assert update.scaled(0.5).apart == update.apart == (("a", "c"),)
    assert (
        update.only(lambda name: name == "a").apart == update.apart
        and update.only(lambda name: name == "b").apart == ()
    )
    assert Update({}).plus(update).apart == update.plus(Update({})).apart == update.apart
