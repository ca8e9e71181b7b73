"""SAM: the gradient is taken where the loss is highest nearby, to first order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from holdfast.core.record import Record
from holdfast.methods.widening.ascent import Ascent
from holdfast.methods.widening.displaced import Displaced
from holdfast.methods.widening.displacement import Displacement


@dataclass(frozen=True)
class Sam(Displaced):
    """Sharpness-aware minimisation (Foret et al., ICLR 2021, arXiv 2010.01412): ``grad L(w + rho * g / |g|)``.

    A first pass finds the gradient g of a micro-batch, over all that is trained; the second, at the displaced weights,
    gives the gradient that counts. Published, each accelerator climbs by the gradient of its own part of a batch; so
    does each micro-batch here, and no batch need be kept: with accumulation the parts that climb are smaller than the
    batch of a step. Weight decay is not part of the ascent, in neither. Both passes draw the same dropout, and
    the loss that is logged is that of the first. On an adapter the ball is one of the adapter's own factors.

    Memory: one copy of what is trained, and one more gradient of it until the second pass begins. Time: two forward and
    two backward passes.

    Attributes:
        rho: Length of the ascent over all that is trained; 0 is the inner method, bit for bit.
    """

    name: ClassVar[str] = "sam"
    may_be_0: ClassVar[tuple[str, ...]] = ("rho",)

    rho: float = 0.05

    @property
    def passes(self) -> int:
        return 2 if self.rho else 1

    def displacement(self, model: nn.Module, seed: int = 0) -> Ascent:
        self.check()
        return Ascent(model, self.rho, who=self.name)

    def record(self, displacement: Displacement) -> Sequence[Record]:
        assert isinstance(displacement, Ascent), "it is this method's own"
        flat = float(displacement.without_slope)
        return [Record(subject="run", quantity="micro_batches_without_slope", site=self.name, value=flat)]
