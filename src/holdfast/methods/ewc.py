"""EWC: training is pulled back, most strongly where the likelihood of what is known is sensitive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

from torch import Tensor

from holdfast.methods.anchored import Anchoring
from holdfast.methods.importance import Per, fisher
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch


@dataclass(frozen=True)
class Ewc(Anchoring):
    """The penalty ``strength / 2 * sum(F * (tensor - start)^2)``: elastic weight consolidation.

    Published by Kirkpatrick et al., arXiv 1612.00796. F is the diagonal of the empirical Fisher information at the
    start, on examples of what the model already knows: their own answers are the labels, where Fisher information
    proper would draw them from the model, and the penalty's own gradient never enters. Published, F is not scaled; here
    it is divided by its mean over all trainable scalars, so that a strength means as much as in l2_sp, and what it was
    divided by is among the facts of a run. Of LoRA, whose one factor starts at 0, only that factor has a Fisher above 0
    at the start: the other one moves freely.

    In a sequence, published, every earlier task has a penalty of its own, around where that task ended; the online
    form (Schwarz et al., arXiv 1805.06370) has one, around where the latest ended, by a running sum that decays. Here
    it is the online one without decay, and every task's F is divided by its mean before it is added: a task that is
    learned to the end has a small F, and would count for nothing.

    Memory: one float32 copy of the trainable tensors, for F; while F is measured, their gradients. Time: a forward and
    a backward pass of every sequence of tokens, once before training, and in a sequence of tasks after it.

    Attributes:
        strength: Strength of the pull; 0 is the inner method alone. Fisher information lies on few scalars, and wants a
            larger one than l2_sp.
        fisher: Whose gradients are squared: each ``sequence``'s, or each ``batch``'s, which is cheaper and no Fisher
            information.
    """

    name: ClassVar[str] = "ewc"

    strength: float = 0.1
    fisher: Per = "sequence"

    def faults(self) -> tuple[str, ...]:
        known = get_args(Per)
        if self.fisher not in known:
            return (*super().faults(), f"ewc: fisher={self.fisher!r} must be one of {', '.join(known)}")
        return super().faults()

    def measure(self, attachment: Attachment, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        return fisher(attachment, batches, self.fisher)
