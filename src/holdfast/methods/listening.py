"""What the linear maps of a model read and say while it runs, and holding what belongs to one of their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers.pytorch_utils import Conv1D

from holdfast.algebra.bits import Bits
from holdfast.algebra.ranks import Ranks, Together, local, start_of
from holdfast.core.errors import NotMeasurable
from holdfast.methods.isolation.scene import Scene


class Text:
    """Which tokens of what a model is reading are text, and which are padding that stands for nothing."""

    def __init__(self) -> None:
        self._mask: Tensor | None = None

    def follow(self, model: nn.Module) -> RemovableHandle:
        """Take down the attention mask of whatever the model is given from now on."""

        def begin(_: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
            mask = given.get("attention_mask", args[1] if len(args) > 1 else None)
            self._mask = mask if isinstance(mask, Tensor) and mask.dim() == 2 else None

        return model.register_forward_pre_hook(begin, with_kwargs=True)

    def rows(self, values: Float[Tensor, "*batch width"]) -> Float[Tensor, "tokens width"]:
        """The rows of an activation that belong to text, in float32; all, where tokens have no place in a batch."""
        rows = values.detach().reshape(-1, values.shape[-1])
        if self._mask is not None and self._mask.shape == values.shape[:-1]:
            rows = rows[self._mask.reshape(-1).bool()]
        return rows.float()


@dataclass(frozen=True)
class Linear:
    """The weight of a linear map: which of its dimensions counts outputs, and which inputs.

    Attributes:
        module: The map.
        tensor: Its weight.
        output_dim: 0 for ``nn.Linear``, 1 for GPT-2's ``Conv1D``.
    """

    module: nn.Module
    tensor: nn.Parameter
    output_dim: int

    @property
    def input_dim(self) -> int:
        """The other dimension."""
        return 1 - self.output_dim

    def whole(self, own: Float[Tensor, " units"], dim: int, ranks: Ranks) -> Float[Tensor, " units"]:
        """Numbers of all units along a dimension, from those of the part of the weight that is held here."""
        if dim == 1:
            return ranks.sum(own)
        units = own.new_zeros(self.tensor.shape[0])
        units[self._first_row() :][: len(own)] = own
        return ranks.sum(units)

    def units(self, chosen: Bool[Tensor, " units"], dim: int) -> Bits:
        """All scalars of chosen units along a dimension, of the part of the weight that is held here."""
        shape = tuple(local(self.tensor).shape)
        if dim == 1:
            return Bits.columns(chosen, shape)
        return Bits.rows(chosen[self._first_row() :][: shape[0]], shape)

    def _first_row(self) -> int:
        return start_of(self.tensor) // max(1, self.tensor.shape[1])


def largest(scores: Float[Tensor, " units"], share_frac: float, name: str) -> Bool[Tensor, " units"]:
    """The units with the largest scores, exactly ``floor(share_frac * n)`` of n; of equal ones the first.

    Units are few, and a sort of them is faster than the search that choosing among scalars takes.

    Args:
        scores: One a unit, from 0 up.
        share_frac: Share to be chosen, read as the decimal number that is printed.
        name: The tensor, for the message.

    Raises:
        NotMeasurable: If a score is not finite.
    """
    if not bool(scores.isfinite().all()):
        raise NotMeasurable(
            f"units of '{name}' cannot be ordered by what goes through them: some of it is not finite; "
            "try a lower learning rate, or bfloat16 in place of float16"
        )
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    chosen[scores.argsort(descending=True, stable=True)[: floor(Fraction(repr(share_frac)) * len(scores))]] = True
    return chosen


def linear_maps(scene: Scene) -> Mapping[str, Linear]:
    """The linear maps whose weights may be held, by the name of the weight."""
    found = {}
    for name, tensor in scene.tensors.items():
        owner, _, attribute = name.rpartition(".")
        module = scene.model.get_submodule(owner)
        if attribute == "weight" and isinstance(module, nn.Linear | Conv1D):
            found[name] = Linear(module, tensor, output_dim=int(isinstance(module, Conv1D)))
    return found


def readers(scene: Scene) -> Ranks:
    """The processes that read batches: those that hold shards, or copies of the model that learn together."""
    if scene.world == 1 and torch.distributed.is_available() and torch.distributed.is_initialized():
        return Together()
    return scene.ranks
