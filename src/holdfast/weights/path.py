"""Ways from a base model to a fine-tuned one: a number in [0, 1] gives an update, or brings a model there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

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


Bring = Callable[[float], nn.Module]
"""Brings a model to the point at ``t`` and returns it, ready to run; it stays there until it is brought elsewhere."""


@runtime_checkable
class Walkable(Path, Protocol):
    """A path on which a model that is in memory can be led from point to point."""

    def walk(self, model: nn.Module) -> AbstractContextManager[Bring]:
        """Lead a base along the path for the length of a ``with`` block.

        At 0 the model answers as the base, at 1 as the checkpoint. On leaving, also after an exception, the base is
        bit for bit what it was.
        """
        ...


@contextmanager
def one_at_a_time(point: Callable[[float], AbstractContextManager[nn.Module]]) -> Iterator[Bring]:
    """A walk over points that are entered and left: one is left before the next is entered.

    Args:
        point: The model at ``t``, for the length of a ``with`` block.
    """
    with ExitStack() as here:

        def bring(t: float) -> nn.Module:
            here.close()
            return here.enter_context(point(t))

        yield bring


def between(start: Tensor, end: Tensor, t: float) -> Tensor:
    """The tensor at ``t`` of the straight way, worked out in float32 or better and rounded once to the type of the end.

    At 1 it is the very end, and at 0 the start.
    """
    if t == 1:
        return end
    if t == 0:
        return start.to(end.dtype)
    return (exact(start) + t * (exact(end) - exact(start))).to(end.dtype)


class DenseLine:
    """The straight line in the weights: ``W0 + t dW``."""

    label = "dense"

    def __init__(self, update: Update) -> None:
        self._update = update

    def at(self, t: float) -> Update:
        """The update, ``t`` times as long."""
        return self._update.scaled(t)

    def walk(self, model: nn.Module) -> AbstractContextManager[Bring]:
        """Lead a model along the line; each point is formed in float32 and rounded once, from the base as it was."""
        return one_at_a_time(lambda t: self.at(t).added_to(model) if t else nullcontext(model))


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
        return {name: between(start, self._final[name], t) for name, start in self._initial.items()}

    def at(self, t: float) -> Update:
        """The update that the trainable tensors make at ``t``."""
        return self._form(self.tensors(t))
