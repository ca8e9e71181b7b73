"""HFT, half fine-tuning: a random half of the matrices of every block is trained, and the other half is not."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.isolation.method import Isolating, wrong_words
from holdfast.methods.isolation.moments import Moments
from holdfast.methods.isolation.options import literal, wrong_interval, wrong_seed
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.isolation.seeds import Seed
from holdfast.methods.kinds import Units, units_of


@dataclass(frozen=True)
class Hft(Isolating):
    """Hold a random half of the layers of every decoder block whole: of attention, of feed-forward, of norms.

    Half Fine-Tuning (Hui et al., ACL 2025): of the 4 attention matrices of a block 2 are held, of the 3 feed-forward
    ones 2 in a random half of the blocks and 1 in the others, and 1 of the 2 norms; embeddings and head are trained. In
    general half of what there is of a kind, and where that is odd, one more in a random half of the blocks. A layer is
    held with its bias. Queries, keys and values that are fused into one matrix, as in GPT-2, are one layer, so that
    attention has two layers there and one of them is held. Of an adapter, all that it adds to a layer is held together.

    Published level: ``requires_grad``, drawn anew for every task. Here the optimizer does not get the gradients of what
    is held, which is then not moved, decayed or averaged, and needs no copy; but gradients are computed, so no time is
    saved, and they count where gradients are clipped. Held moments stand still with their step count: what is released
    is taken up where it was left.

    Attributes:
        seed: Of the choices, by default that of the training; a choice is a function of seed and step alone.
        interval: Steps from one choice to the next; infinite is one round, as published for a single task.
        moments: ``freeze`` is the published form. With ``keep`` the optimizer gets all gradients, so that moments go
            on, and what is held is copied and put back. With ``reset_on_release`` they start from zero.
        eligible: ``all`` is the published form; with ``matrices`` norms and biases are trained.
    """

    name: ClassVar[str] = "hft"

    seed: int | None = None
    interval: float | None = math.inf
    moments: Moments = "freeze"
    eligible: Eligible = "all"

    def rule(self, steps: int | None) -> Rule:
        every = math.inf if self.interval is None else self.interval
        return Halves(Schedule(0, every), self.seed, withholds=self.moments != "keep")

    @property
    def moments_of_held(self) -> Moments:
        # What an optimizer gets no gradient for it leaves alone: there is nothing to freeze.
        return "keep" if self.moments == "freeze" else self.moments

    def spec(self) -> str:
        return literal(super().spec())

    def faults(self) -> tuple[str, ...]:
        words = {"moments": ("keep", "freeze", "reset_on_release")}
        return (*super().faults(), *wrong_interval(self), *wrong_seed(self), *wrong_words(self, words))


class Halves(Rule):
    """Holds a random half of the layers of every kind in every block.

    Args:
        schedule: When it is drawn.
        seed: Of the draws.
        withholds: Whether the optimizer does not get the gradients of what is held.
    """

    def __init__(self, schedule: Schedule, seed: int | None, *, withholds: bool) -> None:
        super().__init__(schedule)
        self._seed, self._withholds = Seed(seed), withholds

    def begin(self, scene: Scene) -> None:
        self._seed.agreed(scene)

    def state(self) -> dict[str, Tensor]:
        return self._seed.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._seed.restore(state)

    def withheld(self, scene: Scene) -> Collection[str]:
        return scene.tensors if self._withholds else ()

    def choose(self, scene: Scene) -> Mask:
        draw = torch.Generator().manual_seed(self._seed.at(scene.step))
        held = {name for units in units_of(scene.model, scene.tensors).values() for name in _half(units, draw)}
        parts = {name: scene.part(name) for name in scene.tensors}
        return Mask(
            {
                name: (Bits.all if name in held else Bits.none)(part.shape, device=part.device)
                for name, part in parts.items()
            }
        )


def _half(units: Units, draw: torch.Generator) -> set[str]:
    """Names of the tensors of half the layers of one kind in every block."""
    odd = [block for block, layers in units.items() if len(layers) % 2]
    more = {odd[i] for i in torch.randperm(len(odd), generator=draw)[: len(odd) // 2].tolist()}
    held: set[str] = set()
    for block, layers in units.items():
        count = len(layers) // 2 + (block in more)
        order = torch.randperm(len(layers), generator=draw).tolist()
        held |= {name for i in order[:count] for name in layers[i]}
    return held
