"""Sequences of trainings by a plain loop: what a stage learned is folded into the weights on which the next begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from small import batch
from torch import Tensor, nn

from holdfast.testing.laws import small_model
from holdfast.weights.contracts import Following, Method
from holdfast.weights.material import Batch, Material
from holdfast.weights.past import PastStage
from holdfast.weights.update import Update

STEPS = 4

TASKS: Mapping[str, list[Batch]] = {
    name: [batch(10 * number + turn) for turn in range(2)] for number, name in enumerate(("one", "two", "three"), 1)
}


def begun(
    method: Method, model: nn.Module, task: str, past: Sequence[PastStage], source: Sequence[Batch] = (), seed: int = 0
) -> Any:
    """A method on a model, told what was before it, and shown its data."""
    torch.manual_seed(seed)
    attachment = method.attach(model)
    if isinstance(attachment, Following):
        attachment.follow(past)
    attachment.prepare(Material({task: TASKS[task]}, source))
    return attachment


def optimizer_of(attachment: Any, rate: float = 1e-2, steps: int = STEPS) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(attachment.trainable().values(), lr=rate, weight_decay=0.1)
    attachment.before_training(optimizer, steps)
    attachment.model.train()
    return optimizer


def stepped(
    attachment: Any,
    optimizer: torch.optim.Optimizer,
    task: str,
    start: int = 0,
    end: int = STEPS,
    seen: Callable[[int], None] = lambda step: None,
) -> None:
    """Train from one step to another; ``seen`` is told of each when its gradients are still there."""
    for step in range(start, end):
        attachment.before_forward(step, STEPS)
        loss = attachment.model(**TASKS[task][step % 2]).loss
        penalty = attachment.penalty()
        (loss if penalty is None else loss + penalty).backward()
        attachment.after_backward(step, STEPS)
        optimizer.step()
        attachment.after_step(step, STEPS)
        seen(step)
        optimizer.zero_grad()


def folded(attachment: Any) -> tuple[nn.Module, Update]:
    """The base with what was learned in its weights."""
    update = attachment.update()
    base = attachment.detach()
    with torch.no_grad():
        weights = dict(base.named_parameters())
        for name, change in update.items():
            weights[name] += change.dense()
    return base, update


def ended(attachment: Any, task: str) -> tuple[nn.Module, PastStage]:
    """The base that the next stage begins with, and what it is told of this one."""
    left: Mapping[str, Tensor] = {}
    if isinstance(attachment, Following):
        left = {name: tensor.clone() for name, tensor in attachment.keepsake().items()}
        assert all(tensor.device.type == "cpu" for tensor in left.values())
    base, update = folded(attachment)
    return base, PastStage(task, lambda: update, lambda: left)


def chain(
    method: Method, tasks: Sequence[str], source: Sequence[Batch] = (), model: nn.Module | None = None
) -> tuple[nn.Module, list[PastStage]]:
    """All stages of a sequence; source is what each is shown of what is known."""
    base, past = model or small_model(), []
    for task in tasks:
        attachment = begun(method, base, task, past, source)
        stepped(attachment, optimizer_of(attachment), task)
        base, stage = ended(attachment, task)
        past.append(stage)
    return base, past


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
