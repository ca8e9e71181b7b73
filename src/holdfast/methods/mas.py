"""MAS: training is pulled back, most strongly where outputs on what is known are sensitive; it needs no labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from holdfast.methods.anchored import Anchoring
from holdfast.methods.importance import output_sensitivity
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch


@dataclass(frozen=True)
class Mas(Anchoring):
    """Memory aware synapses (Aljundi et al., arXiv 1711.09601): ``strength / 2 * sum(W * (tensor - start)^2)``.

    W is the mean over sequences of the absolute gradient of the squared norm of the logits, averaged over a sequence's
    tokens, at the start; prompts count like answers. Published, a sample has one output, and W is not scaled; here W is
    divided by its mean over all trainable scalars, so that a strength means as much as in l2_sp. The norm of logits
    counts a constant added to all of them, which no probability shows.

    In a sequence W is added up over tasks, as published, and each task's is divided by its mean before.

    Memory: one float32 copy of the trainable tensors, for W; while W is measured, their gradients.
    """

    name: ClassVar[str] = "mas"

    def measure(self, attachment: Attachment, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        return output_sensitivity(attachment, batches)
