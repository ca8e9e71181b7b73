"""A probe: a short training of one task, from where the model stands, to see which scalars the task moves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from holdfast.algebra.mask import Mask
from holdfast.algebra.selection import top
from holdfast.core.errors import BadData, HoldfastError, TrainingDiverged
from holdfast.methods.isolation.importance import Lazily
from holdfast.weights.evaluating import evaluating
from holdfast.weights.material import Batch


@dataclass(frozen=True)
class Probe:
    """How a task is probed: plain AdamW at a constant rate, without decay, so that what moves is what the task moves.

    Attributes:
        steps: Optimizer steps, a batch each; the batches come again where there are fewer.
        learning_rate: Of the optimizer.
    """

    steps: int
    learning_rate: float

    def train(self, model: nn.Module, tensors: Mapping[str, nn.Parameter], task: str, batches: Iterable[Batch]) -> None:
        """Train the tensors on one task; nothing else of the model moves, and no gradient is left behind.

        Raises:
            BadData: If there is no batch.
            TrainingDiverged: If the loss is no longer a number.
            HoldfastError: If tensors are spread over processes.
        """
        if any(isinstance(tensor, DTensor) for tensor in tensors.values()):
            raise HoldfastError("tasks are probed on whole tensors, and these are in shards: probe on one process")
        optimizer = torch.optim.AdamW(tensors.values(), lr=self.learning_rate, weight_decay=0.0)
        device = next(iter(tensors.values())).device
        try:
            with evaluating(model):  # gives every module its own mode back
                model.train()
                for step, batch in zip(range(self.steps), _again_and_again(task, batches), strict=False):
                    loss = model(**{key: value.to(device) for key, value in batch.items()}).loss
                    if not math.isfinite(float(loss.detach())):
                        raise TrainingDiverged(
                            f"probing task '{task}', the loss became {float(loss.detach())} at step {step} with "
                            f"learning rate {self.learning_rate:g}; give a lower probe_learning_rate"
                        )
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
        finally:
            optimizer.zero_grad()


def core(tensors: Mapping[str, nn.Parameter], start: Mapping[str, Tensor], share_frac: float) -> Mask:
    """The scalars that have moved most since the start, by absolute distance, of all tensors together.

    Args:
        tensors: The tensors as they are now.
        start: As they were.
        share_frac: Share that makes the core; exact, rounded down.
    """
    moved = Lazily(tensors, lambda name: (tensors[name].detach().float() - start[name].float()).abs_())
    return top(moved, share_frac, calibration="none", each="all")


def _again_and_again(task: str, batches: Iterable[Batch]) -> Iterator[Batch]:
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise BadData(f"task '{task}' has no batch to be probed on")
