"""The warm start: a short full fine-tuning of one task, to see what the task moves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from holdfast.core.errors import BadData, TrainingDiverged
from holdfast.weights.evaluating import evaluating
from holdfast.weights.material import Batch

WARMUP_FRAC = 0.1
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Effort:
    """What a probe took.

    Attributes:
        steps: Optimizer steps.
        tokens: Tokens that were read while training, padding left out.
        seconds: Of training and of whatever was measured after it.
    """

    steps: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class WarmStart:
    """How a task is tried out: AdamW without decay, a tenth of warming up, then half a cosine, gradients clipped at 1.

    Attributes:
        learning_rate: The highest rate.
        epochs: How often every batch is seen.
        steps: Optimizer steps, a batch each; 0 for as many as the epochs take.
        seed: Of the order of batches, which is shuffled anew in every epoch.
    """

    learning_rate: float
    epochs: int
    steps: int
    seed: int

    def train(self, model: nn.Module, task: str, batches: Sequence[Batch]) -> Effort:
        """Train whatever has ``requires_grad``; no gradient is left behind, and modules keep their modes.

        Raises:
            BadData: If there is no batch.
            TrainingDiverged: If the loss or a weight is no longer a number.
        """
        if not batches:
            raise BadData(f"task '{task}' has no batch to be probed on")
        started = time.perf_counter()
        tensors = [tensor for tensor in model.parameters() if tensor.requires_grad]
        device = tensors[0].device
        steps = self.steps or self.epochs * len(batches)
        optimizer = torch.optim.AdamW(tensors, lr=self.learning_rate, weight_decay=0.0)
        tokens = 0
        try:
            with evaluating(model):  # gives every module its own mode back
                model.train()
                for step, batch in zip(range(steps), _shuffled(batches, self.seed), strict=False):
                    tokens += _tokens(batch)
                    loss = model(**{key: value.to(device) for key, value in batch.items()}).loss
                    if not math.isfinite(float(loss.detach())):
                        raise self._diverged(task, f"the loss became {float(loss.detach())} at step {step}")
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(tensors, MAX_GRADIENT_NORM)
                    for group in optimizer.param_groups:
                        group["lr"] = self.learning_rate * rate_share(step, steps)
                    optimizer.step()
                    optimizer.zero_grad()
        finally:
            optimizer.zero_grad()
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise self._diverged(task, f"weights became infinite within {steps} steps")
        return Effort(steps, tokens, time.perf_counter() - started)

    def _diverged(self, task: str, how: str) -> TrainingDiverged:
        return TrainingDiverged(
            f"probing task '{task}', {how} with learning rate {self.learning_rate:g}; give a lower probe_learning_rate"
        )


def rate_share(step: int, steps: int) -> float:
    """The rate of a step over the highest one: a tenth of warming up, then half a cosine that would end at 0.

    The first step is never at rate 0, so that a probe of one step moves something.
    """
    warmup = int(WARMUP_FRAC * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _shuffled(batches: Sequence[Batch], seed: int) -> Iterator[Batch]:
    draw = torch.Generator().manual_seed(seed)
    while True:
        for at in torch.randperm(len(batches), generator=draw).tolist():
            yield batches[at]


def _tokens(batch: Batch) -> int:
    return int(batch["attention_mask"].sum()) if "attention_mask" in batch else batch["input_ids"].numel()
