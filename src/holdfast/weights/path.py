"""Ways from a base model to a fine-tuned one: a number in [0, 1] gives an update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from holdfast.algebra.delta import exact
from holdfast.weights.update import Update


@runtime_checkable
class Path(Protocol):
    """A curve of models that starts at the base."""

    @property
    def label(self) -> str:
        """Name of the curve, such as ``dense`` or ``own``."""
        ...

    def at(self, t: float) -> Update:
        """The update at ``t`` in [0, 1]; at 0 it changes nothing."""
        ...


class DenseLine:
    """The straight line in the weights: ``W0 + t dW``."""

    label = "dense"

    def __init__(self, update: Update) -> None:
        self._update = update

    def at(self, t: float) -> Update:
        """The update, ``t`` times as long."""
        return self._update.scaled(t)


class OwnLine:
    """The straight line in a method's own trainable tensors, from their initial to their final values.

    It starts at the base for every method that starts there, and each of its points is an ordinary adapter.

    Args:
        initial: Trainable tensors right after attaching.
        final: The same tensors after training.
        form: From trainable tensors to the update they make.
    """

    label = "own"

    def __init__(
        self,
        initial: Mapping[str, Tensor],
        final: Mapping[str, Tensor],
        form: Callable[[Mapping[str, Tensor]], Update],
    ) -> None:
        if initial.keys() != final.keys():
            raise ValueError("initial and final tensors have different names")
        self._initial, self._final, self._form = dict(initial), dict(final), form

    def tensors(self, t: float) -> dict[str, Tensor]:
        """The trainable tensors at ``t``; exactly the initial ones at 0 and the final ones at 1."""
        if t in (0.0, 1.0):
            return dict(self._final if t else self._initial)
        return {
            name: (exact(start) + t * (exact(self._final[name]) - exact(start))).to(start.dtype)
            for name, start in self._initial.items()
        }

    def at(self, t: float) -> Update:
        """The update that the trainable tensors make at ``t``."""
        return self._form(self.tensors(t))
