"""DPI: tasks are probed, those that move the same scalars are trained together, and what they moved is then held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from holdfast.core.errors import HoldfastError
from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.isolation.method import Isolating, wrong_share
from holdfast.methods.isolation.rule import Rule
from holdfast.methods.staging.attachment import Plan, StagedAttachment
from holdfast.methods.staging.probe import Probe


@dataclass(frozen=True)
class Dpi(Isolating):
    """Train groups of tasks one after the other, and hold the scalars that earlier groups have moved most.

    DPI (Liu et al., arXiv 2601.17777; the abstract alone is known to us, the rest is read from its sibling CPI-FT,
    arXiv 2508.21741): every task is trained for a short while from the same start; its core is the top 1 % of all
    scalars by absolute change; tasks whose cores overlap by a Jaccard index of 0.1 or more form a group, directly or
    by way of others; groups are trained in stages, in an order at random, and the updates of earlier cores are
    masked. There is no public code.

    Ours, since it is not published: length and rate of probes, plain AdamW without decay and without the inner
    method's penalties; stages share the steps equally; the order is drawn by the seed of the run. Cores are held from
    the first step with a row of the next group on; where stages do not end with a step, that step has rows of both.
    With all tasks in one group nothing is ever held, which the notes say; with one task alone it is an error. In a
    sequence of trainings, each of one task, there is no probe and no grouping: a core is the share of scalars that the
    training itself has moved most, and is held in all later ones. It takes the weights themselves, as every adapter
    is a fresh one. Probes are extra compute, told as the fact ``probe_steps``, and are run again when a training is
    resumed.

    Attributes:
        ratio: Share of the scalars that makes a task's core, in [0, 1); exact, rounded down.
        threshold: Overlap of two cores from which their tasks are trained together, in [0, 1].
        probe_steps: Steps of a probe, a batch each.
        probe_learning_rate: Rate of the probes; by default the centre of the inner method's.
    """

    name: ClassVar[str] = "dpi"
    may_be_0: ClassVar[tuple[str, ...]] = ("ratio", "threshold")

    eligible: Eligible = "all"
    ratio: float = 0.01
    threshold: float = 0.1
    probe_steps: int = 20
    probe_learning_rate: float | None = None

    def rule(self, steps: int | None) -> Rule:
        """Not to be had without the tasks.

        Raises:
            HoldfastError: Always.
        """
        raise HoldfastError(
            f"{self.name} must see its tasks and order their rows, which a callback or hook cannot: use "
            "attachment = method.attach(model), then attachment.prepare(Material(target={task: batches, ...})), and "
            "train in attachment.order(tasks, rows, seed)"
        )

    def attach(self, model: nn.Module) -> StagedAttachment:
        self.check()
        return StagedAttachment(self, self.inner.attach(model), self.plan())

    def plan(self) -> Plan:
        """How its tasks are probed and grouped."""
        rate = self.inner.learning_rate if self.probe_learning_rate is None else self.probe_learning_rate
        return Plan(Probe(self.probe_steps, rate), self.ratio, self.threshold)

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *self._faults())

    def _faults(self) -> Iterator[str]:
        yield from wrong_share(self, "ratio")
        if isinstance(self.threshold, int | float) and self.threshold > 1:
            yield f"{self.name}: threshold={self.threshold!r} must be an overlap from 0 to 1"
        rate = self.probe_learning_rate
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e3):
            yield f"{self.name}: probe_learning_rate={rate!r} must be a learning rate above 0"
