"""EPI, evolving parameter isolation: the scalars that the present loss is most sensitive to are held for a while."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from holdfast.algebra.calibration import Calibration
from holdfast.core.errors import RecipeError
from holdfast.methods.isolation.choosing import ByImportance, Choice, Hold
from holdfast.methods.isolation.eligible import Group
from holdfast.methods.isolation.importance import AdamMoment, Importance, ReferenceGradients, SquaredGradients
from holdfast.methods.isolation.method import Isolating, wrong_share, wrong_words
from holdfast.methods.isolation.moments import Moments
from holdfast.methods.isolation.options import literal, steps_between, wrong_interval
from holdfast.methods.isolation.rule import Rule, Schedule

Source = Literal["own_ema", "adam_v", "reference"]


@dataclass(frozen=True)
class Epi(Isolating):
    """Hold the most sensitive share of scalars at their present values, and choose them anew every few steps.

    Evolving Parameter Isolation (Lin et al., arXiv 2604.14010v1): squared gradients of the running loss, averaged over
    steps, are brought to [0, 1] in every block, the top share of all together is protected, and the final AdamW update
    of what is protected is suppressed, weight decay included. Its smoothing, interval, first choice and what is
    eligible are not published; the defaults are ours. Choices are made after a step and hold from the next one on. What
    is measured is the sensitivity of the present stream, not old knowledge.

    Attributes:
        ratio: Share of the eligible scalars that is held, in [0, 1); exact, rounded down. 0 is plain training.
        interval: Steps from one choice to the next; by default a twentieth of the training, but at least 10. Infinite
            is static isolation.
        first_refresh: Steps before the first choice; by default ``2 / (1 - beta)``, but at most a tenth of the
            training, so that short trainings are protected at all. An average of fewer steps ranks noise.
        beta: Of the running average; takes no part where Adam's own is used.
        importance: ``own_ema`` (the paper's: raw gradients; one float32 a scalar), ``adam_v`` (Adam's own second
            moment; no memory), ``reference`` (squared gradients on examples of ``source``; not in the paper).
        calibration: ``minmax`` (the paper's), ``mean``, ``quantile``, ``rank`` (the same share in every group) or
            ``none``.
        group: What is calibrated within: a decoder ``block``, a ``tensor``, or the whole ``model``.
        moments: What becomes of Adam's moments of held scalars: ``keep``, ``freeze``, ``reset_on_release``.
        patience: A scalar is released when so many choices in a row leave it out; above 1 not in the paper, and more
            than ``ratio`` is held.
        release_ramp: Steps over which a released scalar's updates grow to full size; above 0 not in the paper.
        reference_batches: Batches of ``source`` behind a choice by ``reference``.
    """

    name: ClassVar[str] = "epi"
    may_be_0: ClassVar[tuple[str, ...]] = ("ratio", "release_ramp", "beta")
    hold: ClassVar[Hold] = "top"

    ratio: float = 0.01
    interval: float | None = None
    first_refresh: int | None = None
    beta: float = 0.99
    importance: Source = "own_ema"
    calibration: Calibration | Literal["rank"] = "minmax"
    group: Group = "block"
    moments: Moments = "keep"
    patience: int = 1
    release_ramp: int = 0
    reference_batches: int = 8

    def rule(self, steps: int | None) -> Rule:
        choice = Choice(self.ratio, self.hold, self.calibration, self.group)
        return ByImportance(self.schedule(steps), self._importance(), choice, self.patience)

    def schedule(self, steps: int | None) -> Schedule:
        """When is chosen in a training of so many steps.

        Raises:
            RecipeError: If a default depends on the number of steps and nobody knows it.
        """
        every, first = steps_between(self, self.interval, steps), self.first_refresh
        if first is None:
            if steps is None:
                raise RecipeError(
                    [
                        f"{self.name}: the default of first_refresh depends on how long training is; "
                        "give first_refresh, or steps"
                    ]
                )
            first = min(math.ceil(2 / (1 - self.beta)), max(1, steps // 10))
        return Schedule(first, every)

    @property
    def moments_of_held(self) -> Moments:
        return self.moments

    @property
    def ramp_steps(self) -> int:
        return self.release_ramp

    @property
    def needs_source(self) -> bool:
        """Whether reference examples are asked for."""
        return self.importance == "reference" or super().needs_source

    def spec(self) -> str:
        return literal(super().spec())

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *self._faults())

    def _importance(self) -> Importance:
        if self.importance == "adam_v":
            return AdamMoment()
        if self.importance == "reference":
            return ReferenceGradients(self.reference_batches, f"{self.name}(importance='reference')")
        return SquaredGradients(self.beta)

    def _faults(self) -> Iterator[str]:
        yield from wrong_share(self, "ratio")
        if not 0 < self.beta < 1:
            yield f"{self.name}: beta={self.beta!r} must lie between 0 and 1"
        yield from wrong_interval(self)
        if self.first_refresh is not None and (not isinstance(self.first_refresh, int) or self.first_refresh < 1):
            yield f"{self.name}: first_refresh={self.first_refresh!r} must be a whole number of steps of 1 or more"
        words = {
            "importance": get_args(Source),
            "calibration": (*get_args(Calibration), "rank"),
            "group": get_args(Group),
            "moments": get_args(Moments),
        }
        yield from wrong_words(self, words)
