"""How much every trainable scalar matters to what a model says: by its likelihood, its outputs, or a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any, Literal

import torch
from torch import Tensor, nn

from holdfast.weights.contracts import Attachment
from holdfast.weights.evaluating import evaluating
from holdfast.weights.material import Batch

Per = Literal["sequence", "batch"]
"""Whose gradients are squared: those of single sequences, or of whole batches."""


def fisher(attachment: Attachment, batches: Sequence[Batch], per: Per) -> dict[str, Tensor]:
    """The diagonal of the empirical Fisher information, in float32.

    Per sequence it is the mean over sequences of the squared gradient of the log-likelihood of the sequence's learned
    tokens. Per batch it is the mean over batches of the squared gradient of their mean loss: cheaper, and smaller by
    about the size of a batch, as gradients of its sequences cancel before they are squared.
    """
    with evaluating(attachment.model):
        if per == "batch":
            scores: Iterator[Tensor] = (_loss(attachment.model, batch, "mean") for batch in batches)
        else:
            scores = (_loss(attachment.model, row, "sum") for batch in batches for row in sequences(batch))
        return _mean_gradient(attachment, scores, torch.square)


def output_sensitivity(attachment: Attachment, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Mean over sequences of the absolute gradient of the squared norm of the logits, averaged over tokens; float32."""

    def norms() -> Iterator[Tensor]:
        for batch in batches:
            for row in sequences(batch):
                yield logits_of(attachment.model, row).square().sum(-1).mean()

    with evaluating(attachment.model):
        return _mean_gradient(attachment, norms(), torch.abs)


def path_integral(
    attachment: Attachment, batches: Sequence[Batch], *, steps: int, rate: float, damping: float
) -> dict[str, Tensor]:
    """How much of the fall of the loss each scalar brought about on a short training, over how far it went; float32.

    Every step of AdamW without decay adds ``-gradient * movement`` to a scalar's account; what is below 0 in the end is
    0. It is divided by the square of the whole movement plus ``damping``. The tensors are put back bit for bit.

    Memory, while it lasts: six copies of the trainable tensors, and the gradients.
    """
    tensors = list(attachment.trainable().values())
    start = [tensor.detach().clone() for tensor in tensors]
    account = [torch.zeros_like(tensor, dtype=torch.float32) for tensor in tensors]
    optimizer = torch.optim.AdamW(tensors, lr=rate, weight_decay=0.0)
    with evaluating(attachment.model):
        for batch in islice(cycle(batches), steps):
            gradients = torch.autograd.grad(_loss(attachment.model, batch, "mean"), tensors, allow_unused=True)
            before = [tensor.detach().clone() for tensor in tensors]
            for tensor, gradient in zip(tensors, gradients, strict=True):
                tensor.grad = gradient
            optimizer.step()
            with torch.no_grad():
                for total, tensor, gradient, was in zip(account, tensors, gradients, before, strict=True):
                    if gradient is not None:
                        total -= gradient.float() * (tensor - was).float()
    with torch.no_grad():
        for total, tensor, was in zip(account, tensors, start, strict=True):
            total.clamp_(min=0).div_((tensor - was).float().square() + damping)
            tensor.copy_(was)
            tensor.grad = None
    return dict(zip(attachment.trainable(), account, strict=True))


def sequences(batch: Batch) -> Iterator[Batch]:
    """The sequences of a batch one by one, without their padding."""
    for at, present in enumerate(batch["attention_mask"].bool()):
        yield {name: tensor[at, present][None] for name, tensor in batch.items()}


def _mean_gradient(
    attachment: Attachment, scores: Iterable[Tensor], of: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Mean over scores of a function of their gradients."""
    tensors = attachment.trainable()
    total = {name: torch.zeros_like(tensor, dtype=torch.float32) for name, tensor in tensors.items()}
    count = 0
    for score in scores:
        count += 1
        gradients = torch.autograd.grad(score, list(tensors.values()), allow_unused=True)
        for name, gradient in zip(tensors, gradients, strict=True):
            if gradient is not None:
                total[name] += of(gradient.float())
    return {name: tensor / max(count, 1) for name, tensor in total.items()}


def _loss(model: nn.Module, batch: Batch, reduction: Literal["sum", "mean"]) -> Tensor:
    """Loss of the learned tokens."""
    return nn.functional.cross_entropy(
        logits_of(model, batch)[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction=reduction
    )


def logits_of(call: Callable[..., Any], batch: Batch) -> Tensor:
    """Logits of every token of a batch, in float32; those of virtual tokens in front are left out."""
    passed = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits: Tensor = call(**passed, use_cache=False).logits
    return logits[:, -batch["input_ids"].shape[1] :].float()
