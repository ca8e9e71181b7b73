"""Weights that may be moved: tied ones once, quantised ones never."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.weights.perturbing.movable import in_blocks, movable


class Packed(torch.Tensor):
    """A tensor of a library's own kind."""


def test_all_weights_are_taken_in_the_order_of_the_model(model: PreTrainedModel) -> None:
    assert list(movable(model)) == [name for name, _ in model.named_parameters()]


def test_a_weight_with_two_names_is_taken_once_under_its_first(model: PreTrainedModel) -> None:
    model.lm_head.weight = model.model.embed_tokens.weight
    assert "lm_head.weight" not in movable(model)
    assert list(movable(model, "lm_head.weight".__eq__)) == ["model.embed_tokens.weight"]


def test_blocks_are_chosen_by_number(model: PreTrainedModel) -> None:
    assert {name.split(".")[2] for name in movable(model, in_blocks(1))} == {"1"}
    assert movable(model, in_blocks(0, 1)).keys() < movable(model).keys()


def test_nothing_to_move_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(
        NotMeasurable, match=r"none of the 21 weights of this LlamaForCausalLM is to be moved; choose by"
    ):
        movable(model, lambda name: False)
    with pytest.raises(NotMeasurable, match="this ReLU has no weights to move"):
        movable(nn.ReLU())


def test_whole_numbers_are_refused() -> None:
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.zeros(2, 2, dtype=torch.int8), requires_grad=False)
    with pytest.raises(
        NotMeasurable, match=r"'weight' is quantised \(torch.int8\) and has no neighbours: open the model"
    ):
        movable(layer)
    assert list(movable(layer, "bias".__eq__)) == ["bias"]


def test_eight_bits_are_refused() -> None:
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.zeros(2, 2).to(torch.float8_e4m3fn), requires_grad=False)
    with pytest.raises(NotMeasurable, match="'weight' is quantised"):
        movable(layer)


def test_tensors_of_another_kind_are_refused() -> None:
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.zeros(2, 2).as_subclass(Packed))
    with pytest.raises(
        NotMeasurable, match=r"'weight' is a \w+ of a Packed, packed or held in parts: open the model un"
    ):
        movable(layer)


def test_a_model_that_a_library_has_quantised_is_refused_unless_tensors_are_chosen(model: PreTrainedModel) -> None:
    model.config.quantization_config = {"quant_method": "gptq"}
    said = (
        "the weights of this LlamaForCausalLM are quantised and have no neighbours: open the model unquantised, or move"
    )
    with pytest.raises(NotMeasurable, match=re.escape(said)):
        movable(model)
    assert len(movable(model, in_blocks(0)))
