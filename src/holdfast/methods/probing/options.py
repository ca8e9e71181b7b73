"""The options of a warm-start probe, and what may be wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch

from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.isolation.method import wrong_words
from holdfast.methods.isolation.options import wrong_seed
from holdfast.methods.probing.choosing import Budget
from holdfast.methods.probing.ledger import Overlap
from holdfast.methods.probing.scoring import Combine, Strategy
from holdfast.methods.probing.signals import Length, Per
from holdfast.methods.probing.stage import ProbeFrom
from holdfast.methods.probing.units import Granularity
from holdfast.methods.probing.warm_start import WarmStart

SKETCH_WIDTH = 4096
"""Numbers kept of each tensor's change for later cosines, which are then off by about 0.016."""


@dataclass(frozen=True)
class ProbeOptions:
    """How a task is probed, and how what it needs is chosen.

    Attributes:
        strategy: What units are ranked by. Cosines are of whole tensors, and against earlier tasks of a sequence; the
            first task is ranked by ``l2_fisher``.
        ratio: Share of what is eligible that is trained, above 0 and at most 1; exact, rounded down.
        budget: Whether that is a share of the eligible tensors (or rows, or scalars, whatever is chosen) or of their
            parameters. A tenth of the tensors may be next to none of the parameters, or a fifth of them.
        granularity: What is chosen as a whole: a tensor, a row of one (an output), or single scalars.
        eligible: Among which tensors: ``matrices`` inside decoder blocks, or ``all``.
        l2: How far a tensor moves: ``rms`` over its entries, or the plain ``norm``, which ranks by size.
        fisher: Whose gradients are squared: those of single sequences, or of whole batches.
        fisher_n: Most sequences that the Fisher information is measured on.
        combine: How both are made comparable: min-max over all eligible units, or their ranks.
        alpha: Weight of the length in [0, 1]; Fisher information has the rest.
        probe_epochs: How often the probe sees the task's batches.
        probe_steps: Steps of the probe instead of epochs, a batch each; 0 for epochs.
        probe_learning_rate: Highest rate of the probe.
        probe_from: Whether the probe begins where training will (``start``), or at the ``base`` of the whole sequence,
            so that all tasks are probed from the same weights.
        overlap: What becomes of units that earlier tasks own: nothing (``allow``), they are not chosen (``exclude``),
            or their steps are multiplied by ``damp`` for each owner (``damp``).
        damp: See ``overlap``; in [0, 1].
        keep_probe: Whether the chosen tensors begin training with what the probe has made of them.
        seed: Of the order of batches; by default that of the training.
    """

    name: ClassVar[str]

    strategy: Strategy = "l2_fisher"
    ratio: float = 0.1
    budget: Budget = "tensors"
    granularity: Granularity = "tensor"
    eligible: Eligible = "matrices"
    l2: Length = "rms"
    fisher: Per = "sequence"
    fisher_n: int = 300
    combine: Combine = "minmax"
    alpha: float = 0.5
    probe_epochs: int = 1
    probe_steps: int = 0
    probe_learning_rate: float = 2e-5
    probe_from: ProbeFrom = "start"
    overlap: Overlap = "allow"
    damp: float = 0.1
    keep_probe: bool = False
    seed: int | None = None

    def warm_start(self) -> WarmStart:
        """How the task is tried out."""
        return WarmStart(self.probe_learning_rate, self.probe_epochs, self.probe_steps, drawn_seed(self.seed))

    def faults(self) -> tuple[str, ...]:
        """What is wrong with these options, in sentences that say what to do; empty if nothing is."""
        words = {
            "strategy": get_args(Strategy),
            "budget": get_args(Budget),
            "granularity": get_args(Granularity),
            "eligible": get_args(Eligible),
            "l2": get_args(Length),
            "fisher": get_args(Per),
            "combine": get_args(Combine),
            "probe_from": get_args(ProbeFrom),
            "overlap": get_args(Overlap),
        }
        others = (f"{self.name}: {fault}" for fault in self._faults())
        return (*wrong_words(self, words), *wrong_seed(self), *others)

    def _faults(self) -> Iterator[str]:
        yield from wrong_ratio(self.ratio)
        yield from wrong_part("alpha", self.alpha)
        yield from wrong_part("damp", self.damp)
        for option, least in {"fisher_n": 1, "probe_epochs": 1, "probe_steps": 0}.items():
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                yield f"{option}={value!r} must be a whole number of {least} or more"
        if not _number(rate := self.probe_learning_rate) or not 0 < rate < 1e3:
            yield f"probe_learning_rate={rate!r} must be a learning rate above 0 and below 1000"
        if not isinstance(self.keep_probe, bool):
            yield f"keep_probe={self.keep_probe!r} must be True or False"
        if self.strategy != "l2_fisher" and self.granularity != "tensor":
            yield (
                f"strategy='{self.strategy}' compares the directions of whole tensors; give granularity='tensor', or "
                "strategy='l2_fisher'"
            )
        if self.keep_probe and self.probe_from == "base":
            yield "a probe from the base knows nothing of earlier tasks and cannot be kept; give probe_from='start'"


def drawn_seed(asked: int | None) -> int:
    """A seed that was asked for, or that of the training."""
    return torch.initial_seed() % 2**63 if asked is None else asked


def wrong_ratio(value: object) -> Iterator[str]:
    """The fault of a share that is to be trained and is not above 0 and at most 1."""
    if not _number(value) or not 0 < value <= 1:  # type: ignore[operator]  # a number by then
        yield f"ratio={value!r} must be a share above 0 and at most 1: 0.1 trains ten percent of what is eligible"


def wrong_part(option: str, value: object) -> Iterator[str]:
    """The fault of a weight or a factor that is not in [0, 1]."""
    if not _number(value) or not 0 <= value <= 1:  # type: ignore[operator]  # a number by then
        yield f"{option}={value!r} must be a number from 0 to 1"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
