"""CPI-FT: DPI, and what the probes have learned is fused into the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import pi
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from holdfast.methods.dpi import Dpi
from holdfast.methods.isolation.method import wrong_words
from holdfast.methods.staging.attachment import StagedAttachment
from holdfast.methods.staging.fusion import fused
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Material

When = Literal["end", "start"]


@dataclass(frozen=True)
class CpiFt(Dpi):
    """Train groups of tasks in stages with earlier cores held, and fuse the probes of all tasks into the model.

    Core Parameter Isolation Fine-Tuning (Wang, Liang and Peng, EMNLP 2025, arXiv 2508.21741; read from descriptions
    of its version 1, there is no public code): probes, cores, groups and masked updates as in `Dpi`. Fusion gives
    every core the values of its task's probe, and moves all other parameters towards each probe by spherical
    interpolation, linear where the angle is below epsilon. The paper fuses into "the model from the final fine-tuning
    stage" and trains in stages, lightly, afterwards.

    Ours: a run has one training in stages, so that fusion is at its ``end``, or at its ``start``, into the model as
    it was, which is the nearer to the paper's order. Omega and epsilon are not published, nor which core wins where
    two overlap: here the one that is trained first. Single numbers have no angle, so that all scalars of a tensor
    outside of cores make one vector; probes are taken in the order of the stages. On an adapter its factors are
    fused, which is not the fusion of their products.

    In a sequence of trainings a task is probed from where its training begins, and not from the base; its probe is
    fused in, its core is held in all later ones, and what is held for earlier tasks is left out of the fusion.

    Memory: the eligible tensors once more for every task, in main memory.

    Attributes:
        fusion: When the probes are fused in: at the ``end`` or the ``start`` of training.
        omega: How far other parameters go towards each probe, in [0, 1]; 0 leaves them where they are.
        epsilon: Angle in radians below which interpolation is linear.
    """

    name: ClassVar[str] = "cpi_ft"
    may_be_0: ClassVar[tuple[str, ...]] = (*Dpi.may_be_0, "omega", "epsilon")

    fusion: When = "end"
    omega: float = 0.1
    epsilon: float = 1e-4

    def attach(self, model: nn.Module) -> FusingAttachment:
        self.check()
        return FusingAttachment(self, self.inner.attach(model))

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        yield from wrong_words(self, {"fusion": get_args(When)})
        if isinstance(self.omega, int | float) and self.omega > 1:
            yield f"{self.name}: omega={self.omega!r} must be a share of the way, from 0 to 1"
        if isinstance(self.epsilon, int | float) and self.epsilon > pi:
            yield f"{self.name}: epsilon={self.epsilon!r} must be an angle, from 0 to {pi:.4f} radians"


class FusingAttachment(StagedAttachment):
    """A staged attachment that keeps what the probes have learned, and fuses it in once."""

    probes_single = True

    def __init__(self, method: CpiFt, inner: Attachment) -> None:
        super().__init__(method, inner, method.plan())
        self._options = method
        self._ends: dict[str, dict[str, Tensor]] = {}

    def prepare(self, material: Material) -> None:
        self._ends.clear()
        super().prepare(material)

    def probed(self, task: str, tensors: Mapping[str, nn.Parameter]) -> None:
        self._ends[task] = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}

    def before_forward(self, step: int, steps: int) -> None:
        super().before_forward(step, steps)
        if self._options.fusion == "start" and step == 0:
            self._fuse()

    def after_step(self, step: int, steps: int) -> None:
        super().after_step(step, steps)
        if self._options.fusion == "end" and step == steps - 1:
            self._fuse()

    @torch.no_grad()
    def _fuse(self) -> None:
        tasks = [task for stage in self._stages for task in stage]
        if not tasks:
            return
        earlier = self.earlier()
        for name, tensor in self.eligible().items():
            ends = [(self._ends[task][name].to(tensor), self._cores[task][name].dense()) for task in tasks]
            found = fused(tensor.detach(), ends, self._options.omega, self._options.epsilon)
            tensor.copy_(torch.where(earlier[name], tensor, found) if earlier else found)
