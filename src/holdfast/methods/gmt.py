"""Gradient-mask tuning: in every step only the scalars with the largest gradients are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.isolation.every_step import EveryStep, PresentGradients
from holdfast.methods.isolation.method import Isolating
from holdfast.methods.isolation.options import wrong_trained_share
from holdfast.methods.isolation.rule import Rule


@dataclass(frozen=True)
class Gmt(Isolating):
    """Train the largest share of gradients of every tensor, chosen anew right before every step.

    Gradient-Mask Tuning (Li et al., AAAI 2025, arXiv 2406.15330) keeps the largest gradients of every tensor, the
    embeddings and norms among them, and sets the others to zero. Its code does so after every micro-batch, to the
    gradient accumulated so far, so that what a micro-batch brings can be lost before the step; we look once, at the
    complete gradient. Published level: gradients (``acts="gradient"``), where Adam's moments average masked gradients
    and momentum and weight decay move what is masked. By default we mask updates, where moments average all gradients.
    Ties are broken by position, so that the share is exact; the published code trains all that tie.

    Attributes:
        ratio: Share of every tensor that is trained, above 0; exact, rounded down. 1 is plain training.
        eligible: ``all`` is the published form; with ``matrices`` everything outside of them is trained.
    """

    name: ClassVar[str] = "gmt"

    ratio: float = 0.2
    eligible: Eligible = "all"

    def rule(self, steps: int | None) -> Rule:
        return EveryStep(PresentGradients(), self.ratio)

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *wrong_trained_share(self))
