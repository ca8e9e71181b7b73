"""Methods whose result is an average over the weights of a training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from holdfast.core.record import Record
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.methods.widening.average import Average
from holdfast.weights.contracts import Attachment


@dataclass(frozen=True)
class Averaged(OnTop):
    """A method that averages weights, while the inner one moves them.

    Checkpoints, scores and the update are those of the average, at every checkpoint of the way. It is outermost, since
    other methods would take the step into the average for one of training.
    """

    outermost: ClassVar[bool] = True

    @abstractmethod
    def share(self, taken: int, step: int, steps: int) -> float | None:
        """What share of the average the weights after a step get, or none where they are left out.

        Args:
            taken: After how many steps weights went into it before.
            step: The step, from 0.
            steps: How many there are.
        """

    def average(self, model: nn.Module) -> Average:
        """An average of what has ``requires_grad``, for a training loop of your own; ``on`` plays no part.

        Raises:
            RecipeError: If an option is out of range.
        """
        self.check()
        return Average(model, self.share)

    def attach(self, model: nn.Module) -> AveragedAttachment:
        inner = self.inner.attach(model)
        return AveragedAttachment(inner, self.average(inner.model), self.name)

    def _faults_of_share(self, option: str) -> tuple[str, ...]:
        value = getattr(self, option)
        too_large = isinstance(value, int | float) and value >= 1
        return (f"{self.name}: {option}={value} must be below 1",) if too_large else ()


class AveragedAttachment(OnTopAttachment):
    """An attached method whose weights are averaged; between steps its model is the average."""

    def __init__(self, inner: Attachment, average: Average, who: str) -> None:
        super().__init__(inner)
        self._average, self._who = average, who

    def before_forward(self, step: int, steps: int) -> None:
        """Give back the weights that are trained, before anything looks at them."""
        self._average.begin_step()
        super().before_forward(step, steps)

    def after_step(self, step: int, steps: int) -> None:
        """Take the new weights into the average, and put it in their place."""
        super().after_step(step, steps)
        self._average.end_step(step, steps)

    def own_state(self) -> Mapping[str, Tensor]:
        return self._average.state()

    def own_restore(self, state: Mapping[str, Tensor]) -> None:
        self._average.load_state(state)

    def facts(self) -> Sequence[Record]:
        """After how many steps weights were averaged."""
        taken = float(self._average.taken)
        return (*super().facts(), Record(subject="run", quantity="averaged_steps", site=self._who, value=taken))
