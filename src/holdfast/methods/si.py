"""SI: training is pulled back, most strongly where a short training on what is known lowered its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from holdfast.methods.anchored import Anchoring
from holdfast.methods.importance import path_integral
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch


@dataclass(frozen=True)
class Si(Anchoring):
    """Synaptic intelligence (Zenke et al., arXiv 1703.04200), from a stand-in for the path that nobody has.

    Published, a scalar's importance is gathered on the path of training the tasks before:
    ``W = max(0, -sum(gradient * movement)) / (whole movement^2 + damping)``. A pretrained base comes without its path,
    and in a single run without earlier tasks published SI pulls at nothing. Here the path is that of a short training
    on examples of what the model already knows, from the base, after which all tensors are put back. The base is near
    its best there, so this path is short and noisy, and may say little of the one that led to the base: read results as
    those of this stand-in. W is divided by its mean over all trainable scalars, so that a strength means as much as in
    l2_sp, and the penalty is ``strength / 2 * sum(W * (tensor - start)^2)``.

    Memory: one float32 copy of the trainable tensors, for W; six and the gradients while it is measured.

    Attributes:
        damping: Keeps scalars that hardly moved from having a large importance.
        steps: Steps of AdamW of the short training, at the centre rate of the inner method, on batches in turn.
    """

    name: ClassVar[str] = "si"

    damping: float = 1e-3
    steps: int = 64

    def measure(self, attachment: Attachment, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        return path_integral(attachment, batches, steps=self.steps, rate=self.learning_rate, damping=self.damping)
