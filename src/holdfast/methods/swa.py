"""SWA: the plain average of the weights over the last part of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.methods.widening.averaged import Averaged


@dataclass(frozen=True)
class Swa(Averaged):
    """Stochastic weight averaging (Izmailov et al., UAI 2018, arXiv 1803.05407).

    Published, weights are averaged once an epoch, from about three quarters of the training on, at a rate that is held
    high or goes around in cycles. Here they are averaged after every step, since fine-tunings have few epochs, and the
    rate is the recipe's: with ``lr_scheduler_type: constant`` it is the published one, while at a rate that falls to 0
    there is little left to be averaged. Before the average begins, checkpoints are of the weights themselves. An
    adapter's factors are averaged, and not their product.

    Memory: a float32 copy of what is trained, and one in its own precision. Time: three passes over it a step.

    Attributes:
        start_frac: Share of the steps, rounded, that is over when the average begins; below 1.
    """

    name: ClassVar[str] = "swa"
    may_be_0: ClassVar[tuple[str, ...]] = ("start_frac",)

    start_frac: float = 0.75

    def share(self, taken: int, step: int, steps: int) -> float | None:
        # The last step is always part of it, however few there are.
        begins = min(round(self.start_frac * steps), steps - 1)
        return 1.0 / (taken + 1) if step >= begins else None

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *self._faults_of_share("start_frac"))
