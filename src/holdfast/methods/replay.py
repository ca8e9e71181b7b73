"""Replay: examples of what the model already knows are mixed into training."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.methods.on_top import OnTop
from holdfast.weights.contracts import Attachment


@dataclass(frozen=True)
class Replay(OnTop):
    """A share of the rows that are trained on are examples of what the model already knows.

    The others are the target's. No target example is left out for them, and the number of steps stays what it is: with
    a share of 0.1 the model sees a tenth fewer target rows. The seed chooses which examples are taken and in which
    order; where there are too few, they come again. Also known as rehearsal; the baseline of the TRACE benchmark (arXiv
    2310.06762) takes 10 %.

    Memory: nothing beyond the inner method's.

    Attributes:
        share: Share of source examples among all rows, up to rounding; 0 is the inner method alone.
    """

    name: ClassVar[str] = "replay"
    may_be_0: ClassVar[tuple[str, ...]] = ("share",)

    share: float = 0.1

    @property
    def needs_source(self) -> bool:
        return self.share > 0 or super().needs_source

    def mixed(self, target: Sequence[Example], source: Sequence[Example], seed: int) -> list[Example]:
        """All of the inner method's examples and as many of the source as make up the share, in a drawn order.

        Raises:
            BadData: If there are no examples of the source.
        """
        taught = super().mixed(target, source, seed)
        wanted = round(len(taught) * self.share / (1 - self.share))
        if not wanted:
            return taught
        if not source:
            raise BadData("replay mixes in examples of what the model already knows, and there are none: give source")
        draw = random.Random(seed)
        rounds = [draw.sample(list(source), len(source)) for _ in range(-(-wanted // len(source)))]
        rows = [*taught, *[example for some in rounds for example in some][:wanted]]
        draw.shuffle(rows)
        return rows

    def faults(self) -> tuple[str, ...]:
        wrong = isinstance(self.share, int | float) and self.share >= 1
        return (*super().faults(), *([f"replay: share={self.share} must be below 1"] if wrong else []))

    def attach(self, model: nn.Module) -> Attachment:
        return self.inner.attach(model)
