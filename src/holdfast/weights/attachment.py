"""The hooks of an attachment that interferes with nothing, to be overridden one by one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


class Hookless:
    """Default hooks: no penalty, no interference. Methods override the ones they need."""

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
