"""A base is what it was, and says what was written over it and which of its weights are one."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from small import bits, same_bits
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.weights.bare import Bare, base_name, given_back, tied
from holdfast.weights.quiet import quiet


@pytest.fixture
def one(model: PreTrainedModel) -> PreTrainedModel:
    """The small model with one weight for embedding and head."""
    return LlamaForCausalLM(LlamaConfig(**{**model.config.to_dict(), "tie_word_embeddings": True}))


def test_kept_weights_are_given_to_the_block_as_they_were(model: PreTrainedModel) -> None:
    name = "lm_head.weight"
    start = model.lm_head.weight.detach().clone()
    with given_back(model, [name]) as bare:
        with torch.no_grad():
            model.lm_head.weight.zero_()
        assert torch.equal(bare.kept[name], start)
    assert torch.equal(model.lm_head.weight, start)


def test_stored_tensors_of_the_base_have_their_own_names_there() -> None:
    assert base_name("base_model.model.model.embed_tokens.base_layer.weight") == "model.embed_tokens.weight"
    assert base_name("base_model.model.model.layers.0.self_attn.q_proj.bias") == "model.layers.0.self_attn.q_proj.bias"
    assert base_name("lm_head.original_module.weight") == "lm_head.weight"
    assert base_name("model.embed_tokens.token_adapter.base_layer.weight") == "model.embed_tokens.weight"


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "lm_head.weight"])
def test_a_weight_of_two_names_is_kept_under_the_first(one: PreTrainedModel, name: str) -> None:
    start = one.lm_head.weight.detach().clone()
    with given_back(one, [name]) as bare, torch.no_grad():
        one.lm_head.weight.add_(0.5)
        assert list(bare.kept) == list(bare.moves()) == ["model.embed_tokens.weight"]
    assert torch.equal(one.lm_head.weight, start) and torch.equal(one.model.embed_tokens.weight, start)


def test_names_that_a_base_does_not_have_are_passed_over(model: PreTrainedModel) -> None:
    with given_back(model, ["nothing.weight"]) as bare:
        assert not bare.kept and not bare.moves()


def test_only_what_has_moved_is_told_to_have_moved_and_how_far(model: PreTrainedModel) -> None:
    names = [name for name, _ in model.named_parameters()][:3]
    with given_back(model, names) as bare, torch.no_grad():
        for name in names[:2]:
            model.get_parameter(name).add_(0.5)
        moves = bare.moves()
    assert list(moves) == names[:2]
    for change in moves.values():
        torch.testing.assert_close(change.dense(), torch.full(change.shape, 0.5), rtol=0, atol=1e-6)


def test_parts_flags_modes_and_attributes_are_given_back(model: PreTrainedModel) -> None:
    model.model.norm.weight.requires_grad_(False)
    model.model.layers[0].train()
    before, parts, modes = bits(model), list(model.named_modules()), [module.training for module in model.modules()]
    bare = Bare(model)
    model.lm_head, model.extra, model.said = nn.Linear(2, 2), nn.Linear(2, 2), "something"
    model.requires_grad_(True).train()
    assert bare.give_back() is model
    assert same_bits(bits(model), before) and list(model.named_modules()) == parts
    assert [module.training for module in model.modules()] == modes and not hasattr(model, "said")


def test_weights_that_training_would_move_are_named(model: PreTrainedModel) -> None:
    bare = Bare(model)
    model.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    assert bare.trained() == ["lm_head.weight"]


def test_no_vector_is_among_the_matrices(model: PreTrainedModel) -> None:
    assert len(Bare(model).matrices()) == 2 * 7 + 2


@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`")
def test_weights_that_are_one_have_the_names_of_the_base_whatever_is_on_it(
    one: PreTrainedModel, model: PreTrainedModel
) -> None:
    pair = ["model.embed_tokens.weight", "lm_head.weight"]
    assert tied(one) == [pair] and tied(model) == []
    for options in (
        {"target_modules": ["embed_tokens"]},
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": [1]},
    ):
        with given_back(one), quiet():
            get_peft_model(one, LoraConfig(**{"target_modules": ["q_proj"], **options}))
            assert pair in tied(one)
