"""Layers of decoder blocks are told apart by what they are for, whatever their names are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from holdfast.core.errors import HoldfastError
from holdfast.methods.dora import Dora
from holdfast.methods.kinds import units_of
from holdfast.testing.laws import small_model

SMALL = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
MODELS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL, intermediate_size=32)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**SMALL, ffn_dim=32, word_embed_proj_dim=16)),
    "qwen3": lambda: Qwen3ForCausalLM(
        Qwen3Config(**SMALL, intermediate_size=32, num_key_value_heads=2, head_dim=8, tie_word_embeddings=True)
    ),
    "llama": small_model,
}
LAYERS = {
    "gpt2": (2, 2, 2),
    "gpt_neox": (2, 2, 2),
    "opt": (4, 2, 2),
    "qwen3": (4, 3, 4),
    "llama": (4, 3, 2),
}


def names(model: nn.Module) -> list[str]:
    return [name for name, tensor in model.named_parameters() if tensor.requires_grad]


@pytest.mark.parametrize("which", MODELS)
def test_layers_of_every_kind_are_counted(which: str) -> None:
    model: PreTrainedModel = MODELS[which]()
    found = units_of(model, names(model))
    for kind, count in zip(("attention", "feed-forward", "norm"), LAYERS[which], strict=True):
        assert [len(layers) for layers in found[kind].values()] == [count, count]
    listed = [name for units in found.values() for layers in units.values() for layer in layers for name in layer]
    inner = [name for name in names(model) if any(f".{block}." in name for block in "01")]
    assert sorted(listed) == sorted(inner)


def test_what_an_adapter_puts_on_a_layer_belongs_to_the_layer() -> None:
    model = Dora(r=2).attach(small_model()).model
    found = units_of(model, names(model))
    assert {len(layer) for units in found.values() for layers in units.values() for layer in layers} == {3}
    assert [len(layers) for layers in found["attention"].values()] == [4, 4] and not found["norm"]


class Mixer(nn.Module):
    """A block that is neither attention nor feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleDict({"mixer": nn.Linear(2, 2)})])


def test_layers_of_no_known_kind_are_told() -> None:
    with pytest.raises(HoldfastError, match=r"'layers.0.mixer.weight' belongs to a Linear, and its name does not say"):
        units_of(Mixer(), ["layers.0.mixer.weight"])


def test_a_model_without_blocks_is_told() -> None:
    with pytest.raises(HoldfastError, match="Linear trains nothing inside decoder blocks"):
        units_of(nn.Linear(2, 2), ["weight"])
    assert torch.is_grad_enabled()
