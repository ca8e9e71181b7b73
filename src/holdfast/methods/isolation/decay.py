"""What decoupled weight decay alone does to a weight in one step."""

from __future__ import annotations

from typing import Any

import torch

from holdfast.methods.isolation.scene import Scene


def decoupled(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> bool:
    """Whether an optimizer decays weights apart from their gradients, as AdamW does, and not through them."""
    return isinstance(optimizer, torch.optim.AdamW) or bool(group.get("decoupled_weight_decay", False))


def decay_factors(scene: Scene) -> dict[str, float]:
    """By which factor decoupled weight decay multiplies every tensor in a step: ``1 - lr * weight_decay``.

    1 where decay is part of the gradient: whatever undoes the update of a scalar undoes it too.
    """
    names = {id(tensor): name for name, tensor in scene.tensors.items()}
    factors = {}
    for group in scene.optimizer.param_groups:
        decay = group.get("weight_decay", 0.0) if decoupled(scene.optimizer, group) else 0.0
        for tensor in group["params"]:
            if id(tensor) in names:
                factors[names[id(tensor)]] = 1 - float(group["lr"]) * decay
    return factors
