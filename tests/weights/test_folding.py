"""Folding makes a model what its checkpoint makes of it, so that another training can go on from there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import bits, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.methods.on_top import method_named
from holdfast.testing.laws import small_model
from holdfast.weights.folding import fold, learned_in
from holdfast.weights.loading import checkpoint_on


def trained(method: str, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """A checkpoint whose tensors have all moved."""
    attachment = method_named(method).attach(small_model().to(dtype))
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.add_(0.02 * torch.randn_like(tensor))
    attachment.save(folder)


@pytest.mark.parametrize("method", ["full", "lora", "dora", "oft", "hra", "ia3", "layernorm", "pissa"])
def test_a_folded_model_says_what_its_checkpoint_says(tmp_path: Path, method: str, inputs: Tensor) -> None:
    trained(method, tmp_path / "it")
    model, twin = small_model(), small_model()
    fold(tmp_path / "it", model)
    with checkpoint_on(tmp_path / "it", twin) as wanted:
        torch.testing.assert_close(model.eval()(inputs).logits, wanted(inputs).logits, atol=2e-5, rtol=1e-4)
    assert not same_bits(bits(model), bits(small_model()))
    assert list(model.state_dict()) == list(small_model().state_dict())


@pytest.mark.parametrize("method", ["full", "lora"])
def test_folding_adds_what_was_learned_in_float32_and_rounds_once(tmp_path: Path, method: str) -> None:
    trained(method, tmp_path / "it", torch.bfloat16)
    model = small_model().to(torch.bfloat16)
    update = {name: change.dense().clone() for name, change in learned_in(tmp_path / "it", model).items()}
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    fold(tmp_path / "it", model)
    for name, tensor in model.named_parameters():
        moved = before[name].float() + update[name] if name in update else before[name]
        assert torch.equal(tensor, moved.to(torch.bfloat16)), name


def test_a_full_checkpoint_is_copied_bit_for_bit(tmp_path: Path) -> None:
    attachment = method_named("full").attach(small_model())
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.copy_(0.02 * torch.randn_like(tensor))
    attachment.save(tmp_path / "it")
    model: PreTrainedModel = small_model()
    fold(tmp_path / "it", model)
    wanted = bits(type(model).from_pretrained(tmp_path / "it"))
    assert same_bits(bits(model), wanted)
    added = small_model()
    learned_in(tmp_path / "it", added).write_into(added)
    assert not same_bits(bits(added), wanted), "a sum of the base and a rounded change is not the checkpoint"


def test_what_changes_no_weights_cannot_be_folded(tmp_path: Path) -> None:
    trained("peft:prompt_tuning(num_virtual_tokens=2)", tmp_path / "it")
    model = small_model()
    before = bits(model)
    with pytest.raises(NotMeasurable, match="adds virtual tokens and changes no weight"):
        fold(tmp_path / "it", model)
    assert same_bits(bits(model), before)
