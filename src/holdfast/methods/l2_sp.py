"""L2-SP: training is pulled back to where it started, all scalars alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from holdfast.methods.anchored import AnchoredAttachment
from holdfast.methods.on_top import OnTop


@dataclass(frozen=True)
class L2Sp(OnTop):
    """The penalty ``strength / 2 * ||tensors - start||^2`` over all trainable tensors (Li et al., arXiv 1802.01483).

    It is the control of ewc, si and mas, which weigh scalars differently at the same mean weight. Published, the
    starting point is the pretrained model; on an adapter it is the fresh adapter, which stands for it. New layers,
    which the paper decays to 0, do not occur here. The penalty acts after clipping, as all do.

    Memory: nothing is kept beyond the start, which the inner method keeps; one or two copies of the trainable tensors
    while a step's pull is worked out.

    Attributes:
        strength: Strength of the pull; 0 is the inner method alone.
    """

    name: ClassVar[str] = "l2_sp"

    strength: float = 0.01

    def attach(self, model: nn.Module) -> AnchoredAttachment:
        return AnchoredAttachment(self.inner.attach(model), self.strength, who=self.name)
