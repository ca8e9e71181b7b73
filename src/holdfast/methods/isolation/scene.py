"""What a rule of isolation may look at: the model, the scalars it may hold, and the optimizer that moves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from holdfast.algebra.ranks import ALONE, Ranks, local
from holdfast.core.errors import HoldfastError
from holdfast.weights.material import Material


@dataclass
class Scene:
    """One training as a rule sees it.

    Attributes:
        model: The model that is trained.
        tensors: The tensors whose scalars may be held, by name.
        optimizer: What moves them.
        steps: How many steps the training takes; nothing where nobody knows.
        step: How many are done.
        ranks: The processes that hold parts of the same tensors.
        world: How many of them there are.
        initial: The tensors before training, where somebody keeps them.
        material: What may be looked at before training.
    """

    model: nn.Module
    tensors: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    steps: int | None = None
    step: int = 0
    ranks: Ranks = ALONE
    world: int = 1
    initial: Mapping[str, Tensor] = field(default_factory=dict)
    material: Material = field(default_factory=Material)

    def part(self, name: str) -> Tensor:
        """The part of a tensor that this process holds, sharing its memory."""
        return local(self.tensors[name])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parts that this process holds."""
        return {name: tuple(self.part(name).shape) for name in self.tensors}

    def moment(self, name: str, key: str, why: str) -> Tensor:
        """A running average that the optimizer keeps of a tensor, such as ``exp_avg_sq``: the part held here.

        Args:
            name: The tensor.
            key: The optimizer's name of the average.
            why: What it is needed for, for the message.

        Raises:
            HoldfastError: If the optimizer keeps no such average of it.
        """
        kept = self.optimizer.state.get(self.tensors[name], {})
        if key not in kept:
            has = ", ".join(sorted(kept)) or "nothing"
            raise HoldfastError(
                f"{why} reads the optimizer's '{key}', and {type(self.optimizer).__name__} keeps {has} of '{name}'; "
                "train with Adam or AdamW in 32 bits, or choose another importance"
            )
        return local(kept[key])
