"""InfLoRA: LoRA that reads only directions which inputs of earlier tasks of a sequence do not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import HoldfastError
from holdfast.core.record import Record
from holdfast.methods.frozen_a import ADAPTER, FrozenA, FrozenAAttachment
from holdfast.methods.subspaces.kept import KeptSpace
from holdfast.methods.subspaces.reading import second_moments
from holdfast.methods.turns import in_turns
from holdfast.weights.material import Batch, Material
from holdfast.weights.past import PastStage

KEPT, FREE = ".kept", ".free"
"""After the name of a layer: whether a basis spans what is kept of its inputs, or what is free."""


@dataclass(frozen=True)
class InfLora(FrozenA):
    """LoRA whose ``A`` is fixed from the task's inputs, off the space of earlier inputs, while ``B`` is trained.

    Published by Liang and Li, CVPR 2024, arXiv 2404.00228, where the two letters are swapped. Rows of ``A`` are the
    leading left singular vectors of ``P C``, over the root of 3, with ``C`` the second moment of what a layer reads
    and ``P`` the projector off the space that is kept. After training, that space grows by the fewest further
    directions that hold a share of the task's inputs (DualGPM: the basis that is stored is that of what is kept or of
    what is free, whichever is smaller). The share grows from task to task on a line. Numbers are those of the public
    code on ImageNet-R: shares of ``|C|^2`` and not of ``|H|^2`` as in the paper, from 0.98 to 1 over as many sessions
    as there are tasks; there the first task takes one direction less than the share needs.

    Ours: all linear layers and not keys and values of a vision transformer alone; the inputs of training examples,
    padding left out, on at most so many batches; directions in which inputs have no extent are not taken, so that
    such rows of ``A`` are 0 and their ``B`` does not move; an adapter is folded into the weights when its task is
    over. A layer that reads nothing before training keeps an ``A`` of 0. With one task nothing is kept off.

    Memory: while it looks, a float64 matrix of inputs by inputs for every layer; afterwards the stored basis, at most
    half as large and in float32, for every layer. Time: a forward pass of every batch before and after training, and
    a singular value decomposition of every layer's moment at both times.

    Attributes:
        threshold: Share of a first task's inputs that later ones keep off, above 0 and up to 1.
        final_threshold: The share that the line leads to.
        sessions: Tasks over which it grows; how many a sequence has is not known to a method.
        batches: Most batches that inputs are taken from.
    """

    name: ClassVar[str] = "inf_lora"

    threshold: float = 0.98
    final_threshold: float = 1.0
    sessions: int = 10
    batches: int = 64

    def attach(self, model: nn.Module) -> InfLoraAttachment:
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        return InfLoraAttachment(model, self)

    def threshold_after(self, tasks: int) -> float:
        """The share of a task's inputs that is kept, with so many tasks before it."""
        way = min(1.0, tasks / self.sessions)
        return self.threshold + (self.final_threshold - self.threshold) * way

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *self._faults())

    def _faults(self) -> Iterator[str]:
        if not 0 < self.threshold <= self.final_threshold <= 1:
            yield (
                f"inf_lora: threshold={self.threshold} and final_threshold={self.final_threshold} must be shares above "
                "0 and up to 1, and the first not above the second"
            )


class InfLoraAttachment(FrozenAAttachment):
    """A LoRA adapter that reads fixed directions of its inputs."""

    def __init__(self, model: PreTrainedModel, method: InfLora) -> None:
        super().__init__(model, method.config(model))
        self._method = method
        self._kept: dict[str, KeptSpace] = {}
        self._before = 0
        self._target: Mapping[str, Iterable[Batch]] = {}
        self._chosen: dict[str, Tensor] = {}

    def follow(self, past: Sequence[PastStage]) -> None:
        """Take up the space that is kept, which is that of the latest task: it holds those of all before.

        Raises:
            HoldfastError: If it is not that of this model.
        """
        self._before = len(past)
        if past:
            self._kept = dict(_spaces(past[-1].keepsake()))
            for name, layer in self._layers.items():
                width = layer.lora_A[ADAPTER].weight.shape[1]
                if name not in self._kept or self._kept[name].width != width:
                    raise HoldfastError(
                        f"inf_lora keeps '{name}' off the inputs of earlier tasks, and task '{past[-1].task}' left no "
                        f"space of {width} inputs for it: train all tasks of a sequence on one model"
                    )

    def prepare(self, material: Material) -> None:
        """Find the directions, from the inputs of the task; they are put in place when training begins."""
        self._target = material.target
        self._chosen = {}
        for name, moment in self._moments().items():
            factor = self._factor(name)
            found = self._space(name).free_directions(moment, len(factor)).T / 3**0.5
            rows = torch.zeros_like(factor)
            rows[: len(found)] = found.to(factor)
            self._chosen[name] = rows

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """Put the directions in place.

        Raises:
            HoldfastError: If no layer has read anything.
        """
        if not self._chosen:
            raise HoldfastError(
                "inf_lora takes its directions from what layers read of the task, and has seen nothing of it: call "
                "attachment.prepare(Material(target={task: batches})) before training"
            )
        with torch.no_grad():
            for name in self._layers:
                factor = self._factor(name)
                factor.copy_(self._chosen[name]) if name in self._chosen else factor.zero_()

    def state(self) -> Mapping[str, Tensor]:
        """The directions: looking again need not find the very same bits."""
        return {name: rows.clone() for name, rows in self._chosen.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._chosen = {name: rows.to(self._factor(name)) for name, rows in state.items()}

    def keepsake(self) -> Mapping[str, Tensor]:
        """The space to be kept off from now on: what was kept before, and what this task reads now."""
        share, moments = self._method.threshold_after(self._before), self._moments()
        found = {}
        for name in self._layers:
            space = self._space(name).grown(moments[name], share) if name in moments else self._space(name)
            found[name + (FREE if space.complement else KEPT)] = space.basis.float().cpu().contiguous()
        return found

    def facts(self) -> Sequence[Record]:
        """How much of the inputs is kept off, and how many directions could not be given."""
        widths = {name: self._factor(name).shape[1] for name in self._layers}
        kept = sum(self._space(name).dims for name in widths) / sum(widths.values())
        idle = sum(int((~self._factor(name).any(dim=1)).sum()) for name in widths)
        return (
            Record(subject="run", quantity="kept_input_dims_frac", value=kept, unit="frac"),
            Record(subject="run", quantity="idle_directions", value=float(idle)),
        )

    def _moments(self) -> dict[str, Tensor]:
        return second_moments(self.model, self._layers, in_turns(self._target, self._method.batches))

    def _factor(self, name: str) -> Tensor:
        factor: Tensor = self._layers[name].lora_A[ADAPTER].weight
        return factor

    def _space(self, name: str) -> KeptSpace:
        factor = self._factor(name)
        if name not in self._kept:
            return KeptSpace.nothing(factor.shape[1], factor.device)
        space = self._kept[name]
        return KeptSpace(space.basis.to(factor.device), space.complement)


def _spaces(left: Mapping[str, Tensor]) -> Iterator[tuple[str, KeptSpace]]:
    for key, basis in left.items():
        name, dot, form = key.rpartition(".")
        yield name, KeptSpace.of(basis, complement=dot + form == FREE)
