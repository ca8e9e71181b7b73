"""A rule of isolation: which scalars are held, and when that is decided."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch.utils.hooks import RemovableHandle

from holdfast.algebra.mask import Mask
from holdfast.methods.isolation.remembering import Remembering
from holdfast.methods.isolation.scene import Scene


@dataclass(frozen=True)
class Schedule:
    """When held scalars are chosen: after step ``first``, and anew every ``every`` steps.

    Attributes:
        first: Optimizer steps before the first choice; 0 is before the first step.
        every: Steps from one choice to the next; infinite for a choice that stands.
    """

    first: int = 0
    every: float = math.inf

    def due(self, step: int) -> bool:
        """Whether a choice is to be made when ``step`` steps are done."""
        return step == self.first or (step > self.first and (step - self.first) % self.every == 0)


class Rule(Remembering, ABC):
    """Which scalars are held. One object a training; it may remember what it has seen.

    Attributes:
        schedule: When it is asked.
        early: Whether it is asked right before a step, with its gradients at hand, and not after one.
        at_random: Whether every choice is drawn anew at random, so that overlaps should be those of chance.
        watches: Whether it wants to see the gradients of every step: complete, unscaled and, where possible, unclipped.
    """

    early: ClassVar[bool] = False
    at_random: ClassVar[bool] = False

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    @property
    def watches(self) -> bool:
        """By default it does not look at gradients."""
        return False

    def listen(self, scene: Scene) -> Sequence[RemovableHandle]:
        """Called when it is put to work, before anything runs: the hooks it needs on the model, taken off in the end.

        Raises:
            HoldfastError: If the model has nothing that it could listen to.
        """
        return ()

    def withheld(self, scene: Scene) -> Collection[str]:
        """The tensors whose gradients the optimizer does not get while they are held whole.

        Called when it is put to work. They need no copy, and the optimizer's moments of them stand still.
        """
        return ()

    @abstractmethod
    def choose(self, scene: Scene) -> Mask:
        """The scalars to be held from now on, of the parts held here."""
