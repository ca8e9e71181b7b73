"""One training as a chooser sees it, and what it makes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor, nn

from holdfast.algebra.delta import exact
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.core.record import Record
from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.probing.ledger import Overlap
from holdfast.methods.probing.units import Granularity
from holdfast.weights.material import Batch, Material
from holdfast.weights.past import PastStage

ProbeFrom = Literal["start", "base"]
"""Where a probe begins: where training will, or at the base of the whole sequence."""


@dataclass(frozen=True)
class Stage:
    """One training of a model, before it begins.

    Attributes:
        model: The model, all of it free to move; whoever chooses gives it back as it was.
        start: Its tensors as they are, in the precision they came in.
        material: What is to be learned.
        past: What earlier stages of a sequence left.
    """

    model: nn.Module
    start: Mapping[str, Tensor]
    material: Material
    past: Sequence[PastStage] = ()

    @property
    def task(self) -> str:
        """The name of what is learned; several tasks are joined by ``+``."""
        return "+".join(self.material.target) or "task"

    def batches(self) -> list[Batch]:
        """All batches of all tasks."""
        return [batch for batches in self.material.target.values() for batch in batches]

    def origin(self, where: ProbeFrom) -> Mapping[str, Tensor]:
        """The tensors that a probe begins with: those at the start, less what earlier stages did to them.

        Going back is done in float32, and is off the first base by rounding.
        """
        if where == "start" or not self.past:
            return self.start
        found = {name: exact(tensor).clone() for name, tensor in self.start.items()}
        for stage in self.past:
            for name, change in stage.update().items():
                found[name] -= change.dense().to(found[name])
        return found


@dataclass(frozen=True)
class Choice:
    """What is trained.

    Attributes:
        plan: The choice, and all that it rests on.
        flags: For every eligible tensor, which of its units are trained; on the processor.
        sketches: How the probe moved tensors, for later stages; empty where no strategy looks at them.
        warm: Chosen tensors as the probe has left them, where they are to begin with that.
        facts: What it took, about subject ``run``.
    """

    plan: ParameterPlan
    flags: Mapping[str, Tensor]
    sketches: Mapping[str, Tensor] = field(default_factory=dict)
    warm: Mapping[str, Tensor] = field(default_factory=dict)
    facts: tuple[Record, ...] = ()


class Chooser(ABC):
    """A method that chooses what it trains.

    Attributes:
        name: Its name.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def granularity(self) -> Granularity:
        """Whether whole tensors are chosen, or parts of them."""

    @property
    @abstractmethod
    def eligible(self) -> Eligible:
        """Among which tensors is chosen."""

    @property
    @abstractmethod
    def overlap(self) -> Overlap:
        """What becomes of tensors that earlier tasks own."""

    @property
    @abstractmethod
    def damp(self) -> float:
        """By what steps are multiplied for each owner, where overlap is damped."""

    @abstractmethod
    def spec(self) -> str:
        """The method with its options, as a recipe would write it."""

    @abstractmethod
    def choose(self, stage: Stage) -> Choice:
        """What is trained in a stage; every tensor of the model is afterwards as it was."""
