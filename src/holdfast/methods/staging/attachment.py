"""An attachment that probes its tasks, trains them in stages, and holds the cores of those that are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from holdfast.algebra.mask import Mask
from holdfast.core.errors import HoldfastError, RecipeError
from holdfast.core.record import Record
from holdfast.methods.isolation.eligible import eligible_of
from holdfast.methods.isolation.method import IsolatedAttachment, Isolating
from holdfast.methods.isolation.rule import Rule
from holdfast.methods.staging.probe import Probe, core
from holdfast.methods.staging.stages import ByStage, Group, grouped, in_stages, shuffled
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Material


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

    Memory while probing: one copy of the trainable tensors, and two for the optimizer of the probe. Afterwards: one
    bit a scalar for every task.
    """

    def __init__(self, method: Isolating, inner: Attachment, plan: Plan) -> None:
        super().__init__(method, inner)
        self._plan = plan
        self._cores: dict[str, Mask] = {}
        self._stages: list[Group] = []

    def prepare(self, material: Material) -> None:
        """Probe the tasks; where there is one alone, there is nothing to be found out."""
        super().prepare(material)
        self._cores.clear()
        self._stages.clear()
        if len(material.target) < 2:
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

    def probed(self, task: str, tensors: Mapping[str, nn.Parameter]) -> None:
        """Called with the eligible tensors as the probe of a task has left them."""

    def eligible(self) -> dict[str, nn.Parameter]:
        """The tensors among whose scalars cores are found."""
        return eligible_of(self.model, self.trainable(), self._method.eligible)

    def order(self, tasks: Sequence[str], rows: int, seed: int) -> list[int]:
        """Rows in stages, the groups of tasks in an order at random.

        Raises:
            RecipeError: If there is one task alone.
        """
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
            return ByStage([("all rows",)], {}, steps)
        if not self._stages:
            raise HoldfastError(
                f"{self._method.name} trains its tasks in stages, and nobody has asked for the order of the rows: call "
                "order(tasks, rows, seed) of the attachment before training, and train in that order"
            )
        return ByStage(self._stages, self._cores, steps)

    def facts(self) -> Sequence[Record]:
        probed = len(self._cores) * self._plan.probe.steps
        return (
            *super().facts(),
            Record(subject="run", quantity="probe_steps", value=float(probed)),
            Record(subject="run", quantity="stages", value=float(max(1, len(self._stages)))),
        )
