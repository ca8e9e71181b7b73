"""What methods share that choose the tensors they train when they have seen data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Self

from torch import nn

from holdfast.core.errors import RecipeError
from holdfast.core.spec import spec_of
from holdfast.methods.probing.attachment import ChosenAttachment
from holdfast.methods.probing.stage import Chooser


class Choosing(Chooser):
    """A method on the full model that trains some of its tensors; subclasses are frozen dataclasses and say which.

    It has no knob: its share is an option, and how many parameters that comes to is known after the choice alone.
    """

    learning_rate: ClassVar[float] = 2e-5
    knob: ClassVar[str | None] = None
    moves_base: ClassVar[bool] = True
    served_as: ClassVar[str] = "merged"

    @abstractmethod
    def faults(self) -> tuple[str, ...]:
        """What is wrong with these options, in sentences that say what to do; empty if nothing is."""

    def attach(self, model: nn.Module) -> ChosenAttachment:
        """Let tensors be chosen.

        Raises:
            RecipeError: If an option is out of range.
            HoldfastError: If nothing is eligible, or it is quantised.
        """
        if self.faults():
            raise RecipeError(self.faults())
        return ChosenAttachment(model, self)

    def settings(self, model: nn.Module) -> Iterator[Self]:
        """The method itself: its share is an option, and says nothing exact of the number of parameters."""
        yield self

    def spec(self) -> str:
        """The method with its options, as a recipe would write it."""
        return spec_of(self.name, self)

    def with_knob(self, value: int) -> Self:
        """The method itself: it has no knob."""
        return self
