"""Which tensors may be held, and with which they are compared."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from holdfast.core.errors import HoldfastError
from holdfast.methods.isolation.eligible import eligible_of, groups_of
from holdfast.methods.layernorm import LayerNorm
from holdfast.methods.lora import Lora


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}


def test_matrices_of_blocks_are_eligible_and_embeddings_heads_norms_and_biases_are_not(model: PreTrainedModel) -> None:
    names = set(eligible_of(model, trainable(model), "matrices"))
    assert len(names) == 14
    assert all(".layers." in name and name.endswith("proj.weight") for name in names)


def test_gpt2_has_matrices_too() -> None:
    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50, n_positions=16))
    names = set(eligible_of(model, trainable(model), "matrices"))
    assert len(names) == 8
    assert all(name.rpartition(".")[2] == "weight" and ".h." in name for name in names)


def test_everything_that_is_trained_can_be_asked_for(model: PreTrainedModel) -> None:
    assert set(eligible_of(model, trainable(model), "all")) == set(trainable(model))


def test_all_of_an_adapter_is_eligible(model: PreTrainedModel) -> None:
    adapted = Lora(r=2).attach(model)
    assert set(eligible_of(adapted.model, adapted.trainable(), "matrices")) == set(adapted.trainable())


def test_frozen_tensors_are_not(model: PreTrainedModel) -> None:
    model.model.layers[0].requires_grad_(False)
    assert len(eligible_of(model, dict(model.named_parameters()), "matrices")) == 7


def test_nothing_eligible_is_told(model: PreTrainedModel) -> None:
    norms = {name: tensor for name, tensor in model.named_parameters() if tensor.ndim == 1}
    with pytest.raises(
        HoldfastError, match="none is a weight matrix inside a decoder block that is trained; give eligible"
    ):
        eligible_of(model, norms, "matrices")
    adapted = LayerNorm().attach(model)
    assert eligible_of(adapted.model, adapted.trainable(), "matrices")


def test_groups_are_blocks_and_single_tensors_outside_of_them() -> None:
    names = ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"]
    assert list(groups_of(names, "block").values()) == ["model.embed_tokens.weight", "block 0", "block 0"]
    assert list(groups_of(names, "tensor").values()) == names
    assert set(groups_of(names, "model").values()) == {"model"}
