"""An attachment that probes its tasks, trains them in stages, and holds the cores of those that are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from holdfast.algebra.mask import Mask
from holdfast.core.errors import DamagedCheckpoint, HoldfastError, RecipeError
from holdfast.core.record import Record
from holdfast.methods.isolation.eligible import eligible_of
from holdfast.methods.isolation.method import IsolatedAttachment, Isolating
from holdfast.methods.isolation.rule import Rule
from holdfast.methods.own_weights import require_own_weights
from holdfast.methods.staging.probe import Probe, core
from holdfast.methods.staging.stages import ByStage, Group, grouped, in_stages, shuffled, union
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Material
from holdfast.weights.past import PastStage


@dataclass(frozen=True)
class Plan:
    """How a method that trains in stages goes about it.

    Attributes:
        probe: How tasks are probed.
        share_frac: Share of the scalars that makes a core.
        threshold: Overlap of cores from which tasks are trained together.
    """

    probe: Probe
    share_frac: float
    threshold: float


class StagedAttachment(IsolatedAttachment):
    """An attached method the tasks of which are probed before training, and trained in stages.

    In a sequence of trainings it may have one task alone: cores that earlier ones left are held from the first step on,
    and it leaves its own, one bit a scalar.

    Memory while probing: one copy of the trainable tensors, and two for the optimizer of the probe. Afterwards: one
    bit a scalar for every task.

    Attributes:
        probes_single: Whether the one task of a training in a sequence is probed, rather than have its core told by
            what the training itself has moved.
    """

    probes_single: ClassVar[bool] = False

    def __init__(self, method: Isolating, inner: Attachment, plan: Plan) -> None:
        super().__init__(method, inner)
        self._plan = plan
        self._cores: dict[str, Mask] = {}
        self._stages: list[Group] = []
        self._past: Sequence[PastStage] | None = None
        self._earlier: dict[str, Mask] = {}

    def own_follow(self, past: Sequence[PastStage]) -> None:
        """Take up the cores of earlier tasks.

        Raises:
            HoldfastError: If there is an adapter.
            DamagedCheckpoint: If an earlier task left no core of this model.
        """
        require_own_weights(self.model, self._method.name, "the core")
        self._past = tuple(past)
        self._earlier = {stage.task: self._left_by(stage) for stage in past}

    def own_keepsake(self) -> Mapping[str, Tensor]:
        """The core of this training's tasks, packed: those that were probed, or what training has moved most."""
        if self._past is None:
            return {}
        mask = union(list(self._cores.values())) if self._cores else self._moved_most()
        return {name: bits.cpu() for name, bits in mask.tensors().items()}

    def earlier(self) -> dict[str, Tensor]:
        """Flags of the scalars that are held for tasks of earlier trainings, by tensor; empty where there are none."""
        if not self._earlier:
            return {}
        return {name: bits.dense() for name, bits in union(list(self._earlier.values())).items()}

    def prepare(self, material: Material) -> None:
        """Probe the tasks; where there is one alone, there is nothing to be found out."""
        super().prepare(material)
        self._cores.clear()
        self._stages.clear()
        if len(material.target) < 2 and not (self.probes_single and self._past is not None):
            return
        trained = self.trainable()
        chosen = self.eligible()
        start = {name: tensor.detach().clone() for name, tensor in trained.items()}
        for task, batches in material.target.items():
            try:
                self._plan.probe.train(self.model, trained, task, batches)
                self._cores[task] = core(chosen, start, self._plan.share_frac)
                self.probed(task, chosen)
            finally:
                with torch.no_grad():
                    for name, tensor in trained.items():
                        tensor.copy_(start[name])
        if len(self._cores) == 1:
            self._stages = [tuple(self._cores)]  # rows of one task may come in any order

    def probed(self, task: str, tensors: Mapping[str, nn.Parameter]) -> None:
        """Called with the eligible tensors as the probe of a task has left them."""

    def eligible(self) -> dict[str, nn.Parameter]:
        """The tensors among whose scalars cores are found."""
        return eligible_of(self.model, self.trainable(), self._method.eligible)

    def order(self, tasks: Sequence[str], rows: int, seed: int) -> list[int]:
        """Rows in stages, the groups of tasks in an order at random.

        Raises:
            RecipeError: If there is one task alone, outside of a sequence.
        """
        if not self._cores and self._past is not None:
            self._stages = [tuple(dict.fromkeys(tasks))]
            return in_stages(self._stages, tasks, rows, seed)
        if not self._cores:
            raise RecipeError(
                [
                    f"{self._method.name}: it is made for several tasks, each of which is probed, and there is one: "
                    f"'{' and '.join(sorted(set(tasks)))}'. Give several, such as target: one+other, or another method"
                ]
            )
        self._stages = shuffled(grouped(self._cores, self._plan.threshold), seed)
        return in_stages(self._stages, tasks, rows, seed)

    def rule(self, steps: int) -> Rule:
        if not self._cores:
            return ByStage([("all rows",)], {}, steps, self._earlier)
        if not self._stages:
            raise HoldfastError(
                f"{self._method.name} trains its tasks in stages, and nobody has asked for the order of the rows: call "
                "order(tasks, rows, seed) of the attachment before training, and train in that order"
            )
        return ByStage(self._stages, self._cores, steps, self._earlier)

    def facts(self) -> Sequence[Record]:
        probed = len(self._cores) * self._plan.probe.steps
        return (
            *super().facts(),
            Record(subject="run", quantity="probe_steps", value=float(probed)),
            Record(subject="run", quantity="stages", value=float(max(1, len(self._stages)))),
        )

    def _moved_most(self) -> Mask:
        tensors, start = self.eligible(), self.initial()
        return core(tensors, {name: start[name].to(t.device) for name, t in tensors.items()}, self._plan.share_frac)

    def _left_by(self, stage: PastStage) -> Mask:
        shapes = {name: tuple(tensor.shape) for name, tensor in self.eligible().items()}
        device = next(iter(self.eligible().values())).device
        try:
            return Mask.of_tensors({name: bits.to(device) for name, bits in stage.keepsake().items()}, shapes)
        except ValueError as error:
            raise DamagedCheckpoint(
                f"{self._method.name}: what task '{stage.task}' left is no core of this model: {error}. Train all "
                "tasks of a sequence with one method on one model"
            ) from error
