"""A checkpoint is on its base for a while, and the base does not notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import ADAPTERS, METHODS, bits, moved, same_bits
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, UnsafeFile
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.testing.laws import small_model
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.shards import SINGLE

Saved = Callable[..., tuple[Path, Tensor]]


@pytest.mark.parametrize("spec", METHODS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_checkpoint_answers_as_it_did_and_the_base_is_what_it_was(
    saved: Saved, model: PreTrainedModel, inputs: Tensor, spec: str, fails: bool
) -> None:
    folder, wanted = saved(METHODS[spec])
    model.model.norm.weight.requires_grad_(False)
    before = bits(model)
    try:
        with checkpoint_on(folder, model) as tuned, torch.inference_mode():
            assert not tuned.training
            torch.testing.assert_close(tuned(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("spec", ["lora", "full", "layernorm", "pissa"])
def test_a_base_of_half_precision_is_bit_for_bit_what_it_was(saved: Saved, inputs: Tensor, spec: str) -> None:
    folder, wanted = saved(METHODS[spec], small_model().bfloat16())
    model = small_model().bfloat16()
    before = bits(model)
    with checkpoint_on(folder, model) as tuned, torch.inference_mode():
        found = tuned(input_ids=inputs).logits.float()
    assert float((found - wanted.float()).abs().max()) < 0.02 * float(wanted.abs().max())
    assert same_bits(bits(model), before)


def test_an_adapter_is_run_unmerged(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    weight = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    with checkpoint_on(folder, model) as tuned:
        layer = tuned.get_base_model().model.layers[0].mlp.up_proj
        assert not layer.merged
        assert torch.equal(layer.get_base_layer().weight, weight)


def edited(folder: Path, **tensors: Tensor | None) -> None:
    stored = {**load_file(folder / SINGLE), **tensors}
    save_file({name: tensor for name, tensor in stored.items() if tensor is not None}, folder / SINGLE)


def refused(folder: Path, model: PreTrainedModel) -> str:
    before = bits(model)
    with pytest.raises(IncompatibleUpdate) as caught, checkpoint_on(folder, model):
        pytest.fail("the block was entered")
    assert same_bits(bits(model), before)
    return str(caught.value)


@pytest.mark.parametrize("tensor", [torch.ones(2, 2), torch.ones(128, 64, 1)])
def test_a_full_checkpoint_of_another_shape_is_refused(saved: Saved, model: PreTrainedModel, tensor: Tensor) -> None:
    folder, _ = saved(Full())
    edited(folder, **{"lm_head.weight": tensor})
    assert refused(folder, model) == (
        f"{folder} does not fit this base model: 'lm_head.weight' is missing or shaped differently"
    )


def test_a_full_checkpoint_of_a_deeper_or_shallower_base_is_refused(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Full())
    shallow, deep = (
        LlamaForCausalLM(LlamaConfig(**{**model.config.to_dict(), "num_hidden_layers": layers})) for layers in (1, 3)
    )
    assert refused(folder, shallow).startswith(f"{folder} does not fit this base model: 'model.layers.1.")
    assert refused(folder, deep) == (
        f"{folder} does not fit this base model: it holds no 'model.layers.2.self_attn.q_proj.weight' (9 in all)"
    )


@pytest.mark.parametrize("tie", [False, True])
def test_a_trusted_pickle_answers_as_it_did_and_the_base_is_what_it_was(
    tmp_path: Path, inputs: Tensor, tie: bool
) -> None:
    config = LlamaConfig(**{**small_model().config.to_dict(), "tie_word_embeddings": tie})
    model, tuned = LlamaForCausalLM(config).eval(), LlamaForCausalLM(config).eval()
    torch.save(tuned.state_dict(), tmp_path / "pytorch_model.bin")
    before = bits(model)
    with pytest.raises(UnsafeFile, match="or pass --allow_pickle"), checkpoint_on(tmp_path, model):
        pytest.fail("the block was entered")
    with checkpoint_on(tmp_path, model, allow_pickle=True) as read, torch.inference_mode():
        assert torch.equal(read(input_ids=inputs).logits, tuned(input_ids=inputs).logits)
    assert same_bits(bits(model), before)


def test_a_full_checkpoint_that_breaks_off_while_it_is_read_leaves_the_base_whole(
    saved: Saved, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = saved(Full())
    before = bits(model)

    def breaks_off(self: object, name: str) -> Tensor:
        if "layers.1" in name:
            raise DamagedCheckpoint("the disk has gone")
        return torch.zeros(())

    monkeypatch.setattr("holdfast.weights.shards.Shards.tensor", breaks_off)
    with pytest.raises(DamagedCheckpoint, match="the disk has gone"), checkpoint_on(folder, model):
        pytest.fail("the block was entered")
    assert same_bits(bits(model), before)


def test_checkpoints_may_follow_one_another(model: PreTrainedModel, inputs: Tensor, tmp_path: Path) -> None:
    before = bits(model)
    for count, method in enumerate((*ADAPTERS.values(), Full())):
        attachment = moved(method, model)
        attachment.save(tmp_path / str(count))
        attachment.detach()
        assert same_bits(bits(model), before), method
    with torch.inference_mode():
        plain = model(input_ids=inputs).logits
        for count in range(len(ADAPTERS) + 1):
            with checkpoint_on(tmp_path / str(count), model) as tuned:
                assert not torch.equal(tuned(input_ids=inputs).logits, plain)
            assert torch.equal(model(input_ids=inputs).logits, plain)
