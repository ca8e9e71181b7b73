"""Where rows or scalars of a tensor are chosen, the rest of it is held by the machinery of isolation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.probing.units import over_entries


def held(
    model: nn.Module,
    tensors: Mapping[str, nn.Parameter],
    flags: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Isolation | None:
    """Hold whatever of the trained tensors is not chosen, from now on; nothing where they are chosen whole.

    Args:
        model: The model.
        tensors: What the optimizer moves.
        flags: For each of them, which units are chosen.
        optimizer: The optimizer.
    """
    partly = {name: tensor for name, tensor in tensors.items() if not bool(flags[name].all())}
    if not partly:
        return None
    return Isolation(_AllBut({name: flags[name] for name in partly}), Scene(model, partly, optimizer))


class _AllBut(Rule):
    """Holds all but the chosen units, from the first step on and for good."""

    def __init__(self, flags: Mapping[str, Tensor]) -> None:
        super().__init__(Schedule())
        self._flags = flags

    def choose(self, scene: Scene) -> Mask:
        return Mask(
            {
                name: ~Bits.of(over_entries(self._flags[name].to(tensor.device), tensor).contiguous())
                for name, tensor in scene.tensors.items()
            }
        )
