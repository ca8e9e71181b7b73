"""MoFO, momentum-filtered optimization: in every step only the scalars with the largest momentum are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.isolation.every_step import EveryStep, NextMomentum
from holdfast.methods.isolation.method import Isolating
from holdfast.methods.isolation.options import wrong_trained_share
from holdfast.methods.isolation.rule import Rule


@dataclass(frozen=True)
class Mofo(Isolating):
    """Train the largest share of Adam's momentum in every tensor, chosen anew right before every step.

    MoFO (Chen et al., TMLR 2025, arXiv 2407.20999) ranks a tensor by the size of its first moment, with the present
    gradient in it, and moves only the largest 5 to 20 percent; all moments go on averaging. Published level: updates.
    Its public code still decays all weights (``decay_goes_on=True``), leaves norms and biases out of the filter, and
    has 0.03 for a default; here every tensor is filtered, what is held does not decay, and ties are broken by position.
    It needs an optimizer of Adam's family.

    Attributes:
        ratio: Share of every tensor that is trained, above 0; exact, rounded down. 1 is plain training.
        decay_goes_on: Whether decoupled weight decay shrinks what is held, as in the public code.
        eligible: ``all`` that is trained; with ``matrices`` everything outside of them is trained whole.
    """

    name: ClassVar[str] = "mofo"

    ratio: float = 0.1
    decay_goes_on: bool = False
    eligible: Eligible = "all"

    def rule(self, steps: int | None) -> Rule:
        return EveryStep(NextMomentum(), self.ratio)

    @property
    def decays_held(self) -> bool:
        return self.decay_goes_on

    def faults(self) -> tuple[str, ...]:
        odd = () if isinstance(self.decay_goes_on, bool) else (self._neither(),)
        return (*super().faults(), *wrong_trained_share(self), *odd)

    def _neither(self) -> str:
        return f"{self.name}: decay_goes_on={self.decay_goes_on!r} must be True or False"
