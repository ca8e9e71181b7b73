"""The hooks of an attachment that interferes with nothing, to be overridden one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from holdfast.core.record import Record
from holdfast.weights.material import Material


class Hookless:
    """Default hooks: no penalty, no interference. Methods override the ones they need."""

    def prepare(self, material: Material) -> None:
        """Nothing is looked at before training."""

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """The optimizer is left alone."""

    def penalty(self) -> Tensor | None:
        """No term is added to the loss."""
        return None

    def before_forward(self, step: int, steps: int) -> None:
        """Nothing happens before the forward pass."""

    def after_backward(self, step: int, steps: int) -> None:
        """Gradients are left alone."""

    def after_step(self, step: int, steps: int) -> None:
        """What the optimizer did is left alone."""

    def state(self) -> Mapping[str, Tensor]:
        """Nothing is remembered from step to step."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """There is nothing to take up."""

    def facts(self) -> Sequence[Record]:
        """There is nothing to tell."""
        return ()
