"""Tensors that are held whole: the optimizer does not get their gradients, and leaves alone what has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from holdfast.core.errors import HoldfastError


class Withholding:
    """Takes gradients away from an optimizer for the time of a step.

    To the optimizer a tensor without a gradient is one that is not trained: it is neither moved nor decayed, and the
    moments and the step count that belong to it stand still or are never made. No copy of it is needed. This is what
    ``requires_grad_(False)`` does to a step, and not all that it does: the gradient is still computed, and still counts
    where gradients are clipped.

    Args:
        tensors: Tensors by name.
    """

    def __init__(self, tensors: Mapping[str, nn.Parameter]) -> None:
        self._tensors = tensors
        self._taken: dict[str, Tensor] = {}

    def take(self, names: Iterable[str]) -> None:
        """Before a step: take away the gradients of some tensors."""
        for name in names:
            tensor = self._tensors[name]
            if tensor.grad is not None:
                self._taken[name], tensor.grad = tensor.grad, None

    def give_back(self) -> None:
        """After a step: put the gradients back where they were.

        Raises:
            HoldfastError: If there are gradients again: the optimizer has seen them.
        """
        for name, gradient in self._taken.items():
            if self._tensors[name].grad is not None:
                raise HoldfastError(
                    f"'{name}' was to be held and got a gradient within the step: optimizers that are given a closure "
                    "cannot be kept from it; call optimizer.step() without one, or give moments='keep'"
                )
            self._tensors[name].grad = gradient
        self._taken.clear()


def leaves_alone(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer is known to leave tensors without gradients alone: those of torch do, but for LBFGS."""
    own = type(optimizer).__module__.partition(".")[0] == "torch"
    return own and not isinstance(optimizer, torch.optim.LBFGS)
