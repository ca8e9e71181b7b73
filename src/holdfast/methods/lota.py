"""LoTA, lottery ticket adaptation: only the scalars that moved most in a trial are trained, from the start again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.algebra.ranks import local
from holdfast.algebra.selection import top
from holdfast.core.errors import NotMeasurable, RecipeError
from holdfast.methods.isolation.eligible import Eligible, inner_matrices
from holdfast.methods.isolation.importance import Lazily
from holdfast.methods.isolation.method import Isolating
from holdfast.methods.isolation.options import wrong_trained_share
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene

CALIBRATION_STEPS = 100


@dataclass(frozen=True)
class Lota(Isolating):
    """Train everything for a while, take the weights back to where they started, and train what had moved most.

    Lottery Ticket Adaptation (Panda et al., arXiv 2406.16797): one threshold over the change of all matrices inside
    decoder blocks; all else is held. Published level: gradients (``acts="gradient"``), which hold here but for weight
    decay, since the optimizer's state is emptied with the weights. Its calibration is a training of its own, of one
    epoch or of as little as 100 steps; here **its steps count among those of the run**, and the learning rate goes on
    along its schedule, so that all methods see the same examples. Its public code trains with RMSprop, we with whatever
    optimizer there is.

    Memory: one copy of the trained tensors until calibration is over, where the inner method keeps none itself.

    Attributes:
        ratio: Share of all matrices together that is trained, above 0; exact, rounded down.
        calibration_steps: Steps in which everything is trained; by default 100, but at most a tenth of the training.
        eligible: ``all`` is the published form; with ``matrices`` everything outside of them is trained whole.
    """

    name: ClassVar[str] = "lota"

    ratio: float = 0.1
    calibration_steps: int | None = None
    eligible: Eligible = "all"

    def rule(self, steps: int | None) -> Rule:
        return Lottery(self._calibration(steps), self.ratio)

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *self._faults())

    def _calibration(self, steps: int | None) -> int:
        asked = self.calibration_steps
        if asked is None and steps is None:
            raise RecipeError(
                [f"{self.name}: the default of calibration_steps depends on how long training is; give it, or steps"]
            )
        if asked is not None and steps is not None and asked >= steps:
            raise RecipeError(
                [
                    f"{self.name}: calibration_steps={asked} leaves none of the {steps} steps for training: what "
                    "calibration learns is thrown away; give fewer"
                ]
            )
        return max(1, min(CALIBRATION_STEPS, (steps or 0) // 10)) if asked is None else asked

    def _faults(self) -> Iterator[str]:
        yield from wrong_trained_share(self)
        asked = self.calibration_steps
        if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int) or asked < 1):
            yield f"{self.name}: calibration_steps={asked!r} must be a whole number of steps of 1 or more"


class Lottery(Rule):
    """Holds, after some steps and for good, all but the share of matrices that moved most, where it all started.

    Its choice takes the weights back and empties the optimizer's state.

    Args:
        steps: Steps before the choice.
        ratio: Share of the matrices that is trained.
    """

    def __init__(self, steps: int, ratio: float) -> None:
        super().__init__(Schedule(steps))
        self._ratio = ratio
        self._start: Mapping[str, Tensor] = {}
        self._copied = False

    def withheld(self, scene: Scene) -> Collection[str]:
        return set(scene.tensors) - inner_matrices(scene.model, scene.tensors)

    def begin(self, scene: Scene) -> None:
        if scene.step >= self.schedule.first:
            return
        parts = {name: local(tensor) for name, tensor in _moved(scene).items()}
        kept = {name: scene.initial.get(name) for name in parts}
        self._copied = any(tensor is None or tensor.shape != parts[name].shape for name, tensor in kept.items())
        self._start = {name: part.clone() for name, part in parts.items()} if self._copied else dict(scene.initial)

    def choose(self, scene: Scene) -> Mask:
        start, matrices = self._start, inner_matrices(scene.model, scene.tensors)
        change = Lazily(
            {name: None for name in scene.tensors if name in matrices},
            lambda name: (scene.part(name).float() - start[name].to(scene.part(name))).abs(),
        )
        if not float(scene.ranks.most(torch.stack([change[name].sum().cpu() for name in change]).sum())):
            raise NotMeasurable(
                f"no weight has moved in the {self.schedule.first} steps of lota's calibration: is the learning rate 0 "
                "while it warms up? Give more calibration_steps"
            )
        trained = top(change, self._ratio, calibration="none", ranks=scene.ranks)
        for name, tensor in _moved(scene).items():
            local(tensor).copy_(start[name])
        scene.optimizer.state.clear()
        self._start, self._copied = {}, False
        shapes = {name: (part.shape, part.device) for name in scene.tensors for part in [scene.part(name)]}
        whole = {name: Bits.all(shape, device=device) for name, (shape, device) in shapes.items()}
        return Mask({name: ~trained[name] if name in trained else bits for name, bits in whole.items()})

    def notes(self) -> tuple[str, ...]:
        first = self.schedule.first
        return (
            f"the first {first} steps chose what is trained, count among the steps of the run, and were taken back",
        )

    def extra_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self._start.values()) if self._copied else 0

    def state(self) -> dict[str, Tensor]:
        return {f"start.{name}": tensor for name, tensor in self._start.items()} if self._copied else {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if self._copied:
            self._start = {key.removeprefix("start."): tensor.clone() for key, tensor in state.items()}


def _moved(scene: Scene) -> dict[str, nn.Parameter]:
    """Everything that the optimizer moves, eligible or not."""
    moved = {id(tensor) for group in scene.optimizer.param_groups for tensor in group["params"]}
    return {name: tensor for name, tensor in scene.model.named_parameters() if id(tensor) in moved}
