"""Paths start at the base and end at the fine-tuned model, exactly."""

from __future__ import annotations

import pytest
import torch
from small import METHODS, bits, moved, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.algebra.rotation import Rotation
from holdfast.core.errors import IncompatibleUpdate
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.weights.path import DenseLine, OwnLine, Path, Walkable, between
from holdfast.weights.update import Update


def as_they_are(tensors: dict[str, Tensor]) -> Update:
    return Update({name: Dense(tensor) for name, tensor in tensors.items()})


def test_the_dense_line_is_the_update_times_t() -> None:
    update = Update({"a": Dense(torch.tensor([1.0, -3.0]))})
    line = DenseLine(update)
    assert isinstance(line, Path) and line.label == "dense"
    for t in (0.0, 0.25, 1.0, 1.5):
        assert line.at(t)["a"].dense().tolist() == [t, -3 * t]


def test_the_dense_line_at_0_leaves_every_bit(model: PreTrainedModel) -> None:
    before = bits(model)
    update = Update({name: Dense(torch.ones_like(tensor)) for name, tensor in model.named_parameters()})
    with DenseLine(update).at(0.0).added_to(model):
        assert same_bits(bits(model), before)


def test_the_own_line_goes_straight_from_the_initial_to_the_final_tensors() -> None:
    initial, final = {"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, -2.0])}
    line = OwnLine(initial, final, as_they_are)
    assert isinstance(line, Path) and line.label == "own"
    assert line.at(0.25)["a"].dense().tolist() == [1.5, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_own_line_has_the_very_tensors_at_both_ends(dtype: torch.dtype) -> None:
    initial, final = {"a": torch.tensor([1 / 3]).to(dtype)}, {"a": torch.tensor([1e-9]).to(dtype)}
    line = OwnLine(initial, final, as_they_are)
    assert line.tensors(0.0)["a"] is initial["a"]
    assert line.tensors(1.0)["a"] is final["a"]
    assert line.tensors(0.5)["a"].dtype == dtype


def test_the_own_line_of_float64_is_not_rounded() -> None:
    one, third = torch.tensor([1.0], dtype=torch.float64), torch.tensor([1 / 3], dtype=torch.float64)
    assert float(OwnLine({"a": one}, {"a": third}, as_they_are).tensors(0.5)["a"]) == 1 + 0.5 * (1 / 3 - 1)


def test_the_own_line_of_half_precision_is_worked_out_in_float32() -> None:
    # 256 + (1 + 2^-7 - 256) / 2 = 128.504: in bfloat16 the difference is rounded to -255, and the sum to 128.
    line = OwnLine({"a": torch.tensor([256.0]).bfloat16()}, {"a": torch.tensor([1 + 2**-7]).bfloat16()}, as_they_are)
    assert float(line.tensors(0.5)["a"]) == 129


def test_tensors_of_other_names_are_refused() -> None:
    with pytest.raises(ValueError, match="initial and final tensors have different names"):
        OwnLine({"a": torch.ones(1)}, {"b": torch.ones(1)}, as_they_are)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_own_line_of_lora_moves_both_factors(model: PreTrainedModel, t: float) -> None:
    # Not t times the update: dW(t) = s t B1 (A0 + t (A1 - A0)), since A starts at random and B at 0.
    attachment = moved(Lora(r=4), model)
    initial, final = attachment.initial(), dict(attachment.trainable())
    found = attachment.path().at(t)
    layer = "model.layers.1.mlp.down_proj"
    a, b = (f"base_model.model.{layer}.lora_{side}.default.weight" for side in "AB")
    factor_a = initial[a].double() + t * (final[a].detach().double() - initial[a].double())
    wanted = 2 * t * final[b].detach().double() @ factor_a
    torch.testing.assert_close(found[f"{layer}.weight"].dense().double(), wanted, rtol=1e-5, atol=1e-8)
    dense = t * attachment.update()[f"{layer}.weight"].dense().double()
    assert float((wanted - dense).norm()) > 0.01 * float(dense.norm())


@pytest.mark.parametrize("t", [0.3, 1.0])
def test_the_own_line_of_oft_turns_and_never_stretches(model: PreTrainedModel, t: float) -> None:
    attachment = moved(Oft(block_size=16), model)
    name = "model.layers.0.mlp.up_proj.weight"
    change, whole = attachment.path().at(t)[name], attachment.update()[name]
    assert isinstance(change, Rotation) and isinstance(whole, Rotation)
    torch.testing.assert_close(change.generator, t * whole.generator)
    weight = change.weight
    torch.testing.assert_close(torch.linalg.svdvals(weight + change.dense()), torch.linalg.svdvals(weight))


@pytest.mark.parametrize("spec", METHODS)
def test_walking_a_path_leaves_the_live_model_as_it_was(model: PreTrainedModel, inputs: Tensor, spec: str) -> None:
    attachment = moved(METHODS[spec], model)
    before = bits(attachment.model)
    path = attachment.path()
    assert path.at(0.0).norm() < 1e-4 < path.at(0.5).norm()
    path.at(1.0)
    assert same_bits(bits(attachment.model), before)


NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_walking_the_dense_line_rounds_once_from_the_base(model: PreTrainedModel, dtype: torch.dtype) -> None:
    model.to(dtype)
    before, weight = bits(model), model.get_parameter(NAME)
    start, change = weight.detach().clone(), torch.full(weight.shape, 3e-3)
    line = DenseLine(Update({NAME: Dense(change)}))
    assert isinstance(line, Walkable)
    with line.walk(model) as bring:
        for t in (1.0, 0.1, 0.1, 0.7, 0.0, 1.0):
            assert bring(t) is model
            assert torch.equal(weight.detach(), (start.float() + t * change).to(dtype))
        bring(0.0)
        assert same_bits(bits(model), before)
        bring(0.5)
    assert same_bits(bits(model), before)


def test_a_walk_that_breaks_off_leaves_the_base_whole(model: PreTrainedModel) -> None:
    before = bits(model)
    with pytest.raises(KeyboardInterrupt), DenseLine(Update({NAME: Dense(torch.ones(128, 64))})).walk(model) as bring:
        bring(0.5)
        assert not same_bits(bits(model), before)
        raise KeyboardInterrupt
    assert same_bits(bits(model), before)


def test_the_line_of_another_base_cannot_be_walked(model: PreTrainedModel) -> None:
    before = bits(model)
    with pytest.raises(IncompatibleUpdate), DenseLine(Update({NAME: Dense(torch.ones(2, 2))})).walk(model) as bring:
        bring(0.5)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_between_is_worked_out_as_exactly_as_its_ends(dtype: torch.dtype) -> None:
    start, end = torch.tensor([256.0, 1 / 3]).to(dtype), torch.tensor([1 + 2**-7, -5.0]).to(dtype)
    assert between(start, end, 0) is start and between(start, end, 1) is end
    for t in (1e-3, 0.5, 0.99):
        wanted = (start.double() + t * (end.double() - start.double())).to(dtype)
        torch.testing.assert_close(between(start, end, t), wanted, rtol=1e-5 if dtype.itemsize > 2 else 0, atol=0)


def test_between_takes_the_type_of_the_end() -> None:
    start, end = torch.tensor([1 / 3]), torch.tensor([1.0]).bfloat16()
    assert {between(start, end, t).dtype for t in (0, 0.5, 1)} == {torch.bfloat16}
