"""Equal weights have equal names, and one changed bit makes another."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from holdfast.models.base import Base, open_base
from holdfast.models.identity import identity_of


class Mixed(nn.Module):
    """Parameters and buffers of every kind that a state may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.scalar = nn.Parameter(torch.tensor(1.0))
        self.brief = nn.Parameter(torch.ones(2, 3, dtype=torch.bfloat16))
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("positions", torch.arange(3))
        self.register_buffer("temporary", torch.rand(3), persistent=False)


def test_the_same_weights_have_the_same_identity() -> None:
    assert identity_of(Mixed()) == identity_of(Mixed())
    assert len(identity_of(Mixed())) == 32


@pytest.mark.parametrize("name", ["scalar", "brief", "turned", "mask", "positions"])
def test_one_changed_bit_makes_another_identity(name: str) -> None:
    model = Mixed()
    before = identity_of(model)
    tensor = model.state_dict()[name]
    first = tensor[(0,) * tensor.dim()]
    lowest = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.bool: torch.uint8}
    first.view(lowest.get(tensor.dtype, tensor.dtype)).bitwise_xor_(1)
    assert identity_of(model) != before
    first.view(lowest.get(tensor.dtype, tensor.dtype)).bitwise_xor_(1)
    assert identity_of(model) == before


def test_a_zero_of_the_other_sign_makes_another_identity() -> None:
    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    for model, zero in ((one, 0.0), (other, -0.0)):
        for tensor in model.parameters():
            tensor.data.fill_(zero)
    assert identity_of(one) != identity_of(other)


def test_names_types_and_shapes_count_too() -> None:
    flat, square = nn.Module(), nn.Module()
    flat.weight, square.weight = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(2, 2))
    half, named = nn.Module(), nn.Module()
    half.weight, named.other = nn.Parameter(torch.zeros(8).half()), nn.Parameter(torch.zeros(4))
    assert len({identity_of(model) for model in (flat, square, half, named)}) == 4


def test_how_a_tensor_lies_in_memory_does_not_count() -> None:
    one, other = Mixed(), Mixed()
    other.turned = nn.Parameter(other.turned.detach().clone(memory_format=torch.contiguous_format))
    assert one.turned.stride() != other.turned.stride()
    assert identity_of(one) == identity_of(other)


def test_one_changed_weight_of_the_miniature_makes_another_identity(miniature: Base) -> None:
    model = copy.deepcopy(miniature.model)
    assert identity_of(model) == miniature.identity
    with torch.no_grad():
        weight = model.model.layers[2].mlp.up_proj.weight
        weight[5, 7] = torch.nextafter(weight[5, 7], torch.tensor(torch.inf))
    assert identity_of(model) != miniature.identity


def test_the_identity_does_not_depend_on_how_weights_are_cut_into_files(
    miniature: Base, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    miniature.model.save_pretrained(tmp_path, max_shard_size="600KB")
    tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    assert open_base(str(tmp_path)).identity == miniature.identity
