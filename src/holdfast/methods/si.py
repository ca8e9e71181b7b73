"""SI: training is pulled back, most strongly where training on what is known lowered its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from holdfast.methods.anchored import AnchoredAttachment, Anchoring
from holdfast.methods.importance import path_integral
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch


@dataclass(frozen=True)
class Si(Anchoring):
    """Synaptic intelligence (Zenke et al., arXiv 1703.04200), from a stand-in for the path that nobody has.

    Published, a scalar's importance is gathered on the path of training the tasks before:
    ``W = max(0, -sum(gradient * movement)) / (whole movement^2 + damping)``. A pretrained base comes without its path,
    and in a single run without earlier tasks published SI pulls at nothing. There the path is that of a short training
    on examples of what the model already knows, from the base, after which all tensors are put back. The base is near
    its best there, so this path is short and noisy, and may say little of the one that led to the base: read results as
    those of this stand-in. W is divided by its mean over all trainable scalars, so that a strength means as much as in
    l2_sp, and the penalty is ``strength / 2 * sum(W * (tensor - start)^2)``.

    In a sequence every task has its path, which is that of its training itself, as published: gradients are those that
    the optimizer uses, clipped where it clips, without that of this penalty. Published, an account below 0 counts as 0
    where it is added to the sum over tasks, and that sum is not scaled; here the same is done with each task's over its
    mean.

    Memory: one float32 copy of the trainable tensors, for W; six and the gradients while it is measured. In a sequence
    two copies more throughout.

    Attributes:
        damping: Keeps scalars that hardly moved from having a large importance.
        steps: Steps of AdamW of the short training, at the centre rate of the inner method, on batches in turn.
    """

    name: ClassVar[str] = "si"

    damping: float = 1e-3
    steps: int = 64

    def attach(self, model: nn.Module) -> PathAttachment:
        return PathAttachment(self.inner.attach(model), self)

    def measure(self, attachment: Attachment, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        return path_integral(attachment, batches, steps=self.steps, rate=self.learning_rate, damping=self.damping)


class PathAttachment(AnchoredAttachment):
    """An attachment that keeps an account of how much each scalar lowers the loss of a task of a sequence."""

    def __init__(self, inner: Attachment, method: Si) -> None:
        super().__init__(inner, method.strength, method.measure, who=method.name, batches=method.batches)
        self._damping = method.damping
        self._account: dict[str, Tensor] = {}
        self._at: dict[str, Tensor] = {}

    def after_backward(self, step: int, steps: int) -> None:
        """Remember where the step starts."""
        super().after_backward(step, steps)
        if self.in_sequence:
            self._at = {name: tensor.detach().clone() for name, tensor in self.trainable().items()}

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Book what each scalar's movement did to the loss."""
        super().after_step(step, steps)
        for name, tensor in self.trainable().items() if self._at else ():
            if tensor.grad is None:
                continue
            moved = (tensor - self._at[name]).float()
            gain = -(tensor.grad.float() - self.pull_at(name, self._at[name])) * moved
            account = self._account.setdefault(name, torch.zeros_like(moved))
            # A step that mixed precision skips moves nothing, and its gradients are no numbers.
            account += torch.where(moved == 0, 0.0, gain)
        self._at = {}

    def importance_of_task(self) -> Mapping[str, Tensor]:
        found, start = {}, self.initial()
        for name, tensor in self.trainable().items():
            way = tensor.detach().float() - start[name].to(tensor.device).float()
            gained = self._account.get(name, torch.zeros_like(way))
            found[name] = gained.clamp(min=0) / (way.square() + self._damping)
        return found

    def own_state(self) -> Mapping[str, Tensor]:
        return {**super().own_state(), **self._account}

    def own_restore(self, state: Mapping[str, Tensor]) -> None:
        super().own_restore(state)
        tensors = self.trainable()
        self._account = {name: account.to(tensors[name].device, copy=True) for name, account in state.items()}
