"""What weights were, and whether they are it again."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.weights.perturbing.pristine import Copied, fingerprint, same_bits, unlike


def test_copies_stay_when_the_weight_moves() -> None:
    layer = nn.Linear(3, 2)
    was = layer.weight.detach().clone()
    copies = Copied({"weight": layer.weight})
    layer.weight.data.zero_()
    assert "weight" in copies and "bias" not in copies
    assert torch.equal(copies.tensor("weight"), was)


def test_bits_are_compared_and_not_numbers() -> None:
    assert same_bits(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert same_bits(torch.empty(0, 3), torch.empty(0, 3))


def test_every_bit_type_and_shape_of_weights_and_stored_buffers_counts() -> None:
    layer = nn.BatchNorm1d(4)
    layer.register_buffer("passing", torch.zeros(1), persistent=False)
    before = fingerprint(layer)
    assert list(before) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    layer.passing.fill_(1)
    assert not unlike(before, fingerprint(layer))
    layer.bias.data[2] = -0.0
    layer.running_var.mul_(2)
    assert unlike(before, fingerprint(layer)) == ["bias", "running_var"]
    layer.weight = nn.Parameter(layer.weight.detach().view(2, 2))
    assert unlike(before, fingerprint(layer)) == ["weight", "bias", "running_var"]


def test_names_that_come_or_go_are_unlike() -> None:
    assert unlike({"a": "1", "b": "2"}, {"b": "2", "c": "3"}) == ["a", "c"]


def test_a_tied_weight_is_hashed_once() -> None:
    pair = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    pair[1].weight = pair[0].weight
    assert list(fingerprint(pair)) == ["0.weight"]
