"""MIGU: only output rows that say much in this step are trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.core.errors import HoldfastError, NotMeasurable
from holdfast.methods.isolation.method import Isolating, wrong_share
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.listening import Linear, Text, largest, linear_maps, readers

LORA_B = ".lora_B."


@dataclass(frozen=True)
class Migu(Isolating):
    """Train the output rows of every matrix whose outputs are largest in the present step, and hold all others.

    MIGU (Du et al., arXiv 2406.17245; code at wenyudu/MIGU) adds up absolute outputs of every linear map over the
    tokens of a step, divides them by their sum (which changes no order within a map), and sets the gradients of rows
    below the 0.7 quantile to zero. Its code acts on gradients and from the second task of a sequence on.

    Ours: updates are masked unless ``acts`` says otherwise; it acts from the first step, since the base has learned
    already; padding is left out, which the published code adds up; exactly the share is trained, rounded down; rows
    of a fused matrix are rows like others; a map that no token went through in a step is held whole; what is no
    linear map's weight is free. Of LoRA, rows of B are chosen by the outputs of the adapted layer, base included (B's
    own are zero at the start), and A is free; other adapters have no rows that speak, and are refused. Forward passes
    that build no graph are not listened to. Memory: one number an output row, and a copy of the held matrices.

    Attributes:
        ratio: Share of the rows of every matrix that is trained, in [0, 1).
    """

    name: ClassVar[str] = "migu"

    ratio: float = 0.3

    def rule(self, steps: int | None) -> Rule:
        return ByOutput(self.ratio)

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *wrong_share(self, "ratio"))


class ByOutput(Rule):
    """Before every step, holds all rows but those with the largest mean absolute outputs over its micro-batches."""

    early: ClassVar[bool] = True

    def __init__(self, ratio: float) -> None:
        super().__init__(Schedule(first=0, every=1))
        self._ratio = ratio
        self._maps: dict[str, Linear] = {}
        self._sums: dict[str, Tensor] = {}

    def listen(self, scene: Scene) -> Sequence[RemovableHandle]:
        self._maps = dict(_speaking(scene))
        if not self._maps:
            raise HoldfastError(
                f"migu holds rows of linear maps by what they say, and none of the {len(scene.tensors)} tensors that "
                f"could be held, such as '{next(iter(scene.tensors))}', belongs to one: put it on full, or on lora"
            )
        text = Text()
        hear = [each.module.register_forward_hook(self._hearer(name, text)) for name, each in self._maps.items()]
        return [text.follow(scene.model), *hear]

    def choose(self, scene: Scene) -> Mask:
        if not self._sums:
            raise NotMeasurable(
                f"no forward pass went through the {len(self._maps)} linear maps that migu listens to before step "
                f"{scene.step + 1}: does the training loop call the model that it is attached to?"
            )
        held = {name: Bits.none(scene.part(name).shape, device=scene.part(name).device) for name in scene.tensors}
        ranks = readers(scene)
        for name, each in self._maps.items():
            silence = torch.zeros(each.tensor.shape[each.output_dim], device=scene.part(name).device)
            spoken = ranks.sum(self._sums.get(name, silence))
            # All rows of a map that was silent are equal, and none of them is large.
            loud = largest(spoken, self._ratio, name) & (spoken > 0).any()
            held[name] = each.units(~loud, each.output_dim)
        self._sums.clear()
        return Mask(held)

    def extra_bytes(self) -> int:
        return sum(4 * each.tensor.shape[each.output_dim] for each in self._maps.values())

    def _hearer(self, name: str, text: Text) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hear(_: nn.Module, args: tuple[Any, ...], outputs: Tensor) -> None:
            if torch.is_grad_enabled():
                said = text.rows(outputs).abs().sum(dim=0)
                self._sums[name] = said + self._sums[name] if name in self._sums else said

        return hear


def _speaking(scene: Scene) -> Iterator[tuple[str, Linear]]:
    """The matrices whose rows are chosen among, each with the module whose outputs say which."""
    for name, each in linear_maps(scene).items():
        if LORA_B in name:
            layer = scene.model.get_submodule(name.partition(LORA_B)[0])
            yield name, Linear(layer, each.tensor, each.output_dim)
        elif not hasattr(scene.model, "peft_config"):
            yield name, each
