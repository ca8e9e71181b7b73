"""EMA: an exponential moving average of the weights is what is kept of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.methods.widening.averaged import Averaged


@dataclass(frozen=True)
class Ema(Averaged):
    """The average ``decay * average + (1 - decay) * weights`` after every step (Polyak and Juditsky 1992).

    It begins with the weights after the first step, as torch's own `AveragedModel` does, and not with the base: until
    ``1 / (1 - decay)`` steps are over it leans on the beginning nevertheless, and the base is near. torch's default of
    0.999 is for longer trainings than fine-tunings are; ours is 0.99. An adapter's factors are averaged, and not their
    product. There are no statistics of batches to be brought in line, as published work on other models does.

    Memory: a float32 copy of what is trained, and one in its own precision. Time: three passes over it a step.

    Attributes:
        decay: What the average keeps of itself in a step, below 1; 0 is the inner method, bit for bit.
    """

    name: ClassVar[str] = "ema"
    may_be_0: ClassVar[tuple[str, ...]] = ("decay",)

    decay: float = 0.99

    def share(self, taken: int, step: int, steps: int) -> float:
        return 1.0 - self.decay if taken else 1.0

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *self._faults_of_share("decay"))
