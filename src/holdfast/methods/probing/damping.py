"""Tensors that earlier tasks own move more slowly: their update is a part of what the optimizer made of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Damping:
    """Scales the whole step of some entries, weight decay included.

    For optimizers whose step is proportional to the learning rate, as AdamW's is, this is the same as a lower rate for
    these entries. Memory: one copy of the tensors that are damped.

    Args:
        tensors: The tensors.
        factors: What the step of every entry is multiplied by, in a shape that spreads over its tensor.
    """

    def __init__(self, tensors: Mapping[str, nn.Parameter], factors: Mapping[str, Tensor]) -> None:
        self._tensors = {name: tensors[name] for name in factors}
        self._factors = {name: factor.to(tensors[name].device) for name, factor in factors.items()}
        self._before: dict[str, Tensor] = {}

    def before_step(self) -> None:
        """Called when gradients are complete: remember where the tensors are."""
        self._before = {name: tensor.detach().clone() for name, tensor in self._tensors.items()}

    @torch.no_grad()
    def after_step(self) -> None:
        """Called when the optimizer has moved the tensors: take back what is too much of it."""
        for name, before in self._before.items():
            tensor, factor = self._tensors[name], self._factors[name]
            tensor.copy_(before.double() + factor.double() * (tensor.double() - before.double()))
        self._before = {}
