"""Weights have one name in every precision that holds them."""

from __future__ import annotations

import torch
from chosen import tiny

from holdfast.methods.probing.identity import value_mark, weights_identity
from holdfast.models.identity import identity_of


def test_of_float32_it_is_the_name_that_models_have() -> None:
    assert weights_identity(tiny()) == identity_of(tiny())


def test_half_precision_and_what_it_becomes_in_float32_are_one() -> None:
    half = tiny(dtype=torch.bfloat16)
    name = weights_identity(half)
    assert weights_identity(half.float()) == name != weights_identity(tiny())


def test_a_single_bit_is_another_name() -> None:
    one = torch.randn(4)
    other = one.clone()
    other[2] = torch.nextafter(one[2], torch.tensor(9.0))
    assert value_mark(one) == value_mark(one.clone()) != value_mark(other)
    assert value_mark(torch.zeros(4)) != value_mark(torch.zeros(2, 2))
