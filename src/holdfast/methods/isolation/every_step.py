"""Training the largest share of every tensor by what this very step says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from holdfast.algebra.ranks import local
from holdfast.core.errors import HoldfastError
from holdfast.methods.isolation.choosing import ByImportance, Choice
from holdfast.methods.isolation.decay import decoupled
from holdfast.methods.isolation.importance import Importance, Lazily
from holdfast.methods.isolation.rule import Schedule
from holdfast.methods.isolation.scene import Scene


class EveryStep(ByImportance):
    """Trains, in every step, the scalars of every tensor with the largest scores, and holds the others.

    It is asked right before the step, when its gradients are complete. A tensor has its exact share, rounded down.

    Args:
        importance: The score, of the gradients at hand.
        ratio: Share of every tensor that is trained.
    """

    early: ClassVar[bool] = True

    def __init__(self, importance: Importance, ratio: float) -> None:
        super().__init__(Schedule(0, 1), importance, Choice(ratio, "rest", each="tensor"))


class PresentGradients(Importance):
    """The size of the gradient, accumulated over the step, as the optimizer sees it.

    Clipping by the norm of all gradients multiplies them by one number, which leaves the order within a tensor alone.
    """

    def scores(self, scene: Scene) -> Mapping[str, Tensor]:
        return Lazily(scene.tensors, lambda name: _gradient(scene.tensors[name]).abs())


class NextMomentum(Importance):
    """The size of Adam's first moment as it will be after this step: ``beta1 m + (1 - beta1) g``.

    ``g`` is what Adam will average: with decay inside of it, where the optimizer is not one that decays weights apart.
    Memory: nothing that is kept.
    """

    def begin(self, scene: Scene) -> None:
        if "betas" not in scene.optimizer.defaults:
            kind = type(scene.optimizer).__name__
            raise HoldfastError(
                f"importance is the size of Adam's momentum, and {kind} keeps none of that kind; train with Adam or "
                "AdamW"
            )

    def scores(self, scene: Scene) -> Mapping[str, Tensor]:
        groups = {id(tensor): group for group in scene.optimizer.param_groups for tensor in group["params"]}

        def score(name: str) -> Tensor:
            tensor = scene.tensors[name]
            group = groups[id(tensor)]
            gradient = _averaged(scene, tensor, group)
            kept = scene.optimizer.state.get(tensor, {}).get("exp_avg")
            before = torch.zeros_like(gradient) if kept is None else local(kept).float()
            # Without a gradient there is no step, and the moment stays.
            return before.abs() if tensor.grad is None else torch.lerp(before, gradient, 1 - group["betas"][0]).abs()

        return Lazily(scene.tensors, score)


def _gradient(tensor: nn.Parameter) -> Tensor:
    """The gradient held here, in float32; 0 where there is none."""
    return torch.zeros_like(local(tensor)).float() if tensor.grad is None else local(tensor.grad).float()


def _averaged(scene: Scene, tensor: nn.Parameter, group: dict[str, Any]) -> Tensor:
    """What an Adam of this kind averages of a tensor's gradient."""
    gradient = -_gradient(tensor) if group.get("maximize", False) else _gradient(tensor)
    decay = group.get("weight_decay", 0.0)
    if decay and not decoupled(scene.optimizer, group):
        gradient = gradient.add(local(tensor).float(), alpha=decay)
    return gradient
