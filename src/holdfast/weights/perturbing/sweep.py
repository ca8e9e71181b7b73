"""A model that is led along a direction, each time rebuilt from what it was: nothing adds up, and nothing drifts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from holdfast.algebra.delta import exact
from holdfast.algebra.noise import runs_of
from holdfast.core.errors import NotMeasurable
from holdfast.weights.perturbing.movable import movable
from holdfast.weights.perturbing.pristine import Copied, Stored, check_stored, fingerprint, unlike
from holdfast.weights.perturbing.rounding import Rounding, RoundingTally
from holdfast.weights.update import Update


class Sweep:
    """Brings the weights of a model to any distance along a direction, in any order. Made by `sweeping`.

    Attributes:
        model: The model. What is derived from its weights, such as cached keys and values or a captured graph, is to be
            thrown away after each move.
        distance: Where it stands.
    """

    def __init__(
        self, model: nn.Module, direction: Update, weights: Mapping[str, nn.Parameter], pristine: Stored
    ) -> None:
        self.model, self.distance = model, 0.0
        self._direction, self._weights, self._pristine = direction, weights, pristine

    def to(self, distance: float) -> nn.Module:
        """Bring the model to ``base + distance * direction``, summed in float32 and rounded once, and return it.

        Beyond the model and what its weights are rebuilt from, no memory is used but for a run of numbers, or for one
        tensor where a change is not noise.

        Args:
            distance: In units of the direction, such as standard deviations; at 0 the weights are those of the base.

        Raises:
            ValueError: If the distance is not a finite number.
        """
        if not math.isfinite(distance):
            raise ValueError(f"a model at a distance of {distance} from its base: distances are finite")
        self.distance = distance
        if distance == 0:
            self.give_back()
            return self.model
        for name, weight in self._weights.items():
            # A weight that is not laid out row by row is put together beside it.
            target = weight.detach() if weight.is_contiguous() else weight.new_empty(weight.shape)
            flat = target.view(-1)
            for place, _, moved, _ in self._runs(name, distance):
                flat[place : place + len(moved)] = moved
            if not weight.is_contiguous():
                weight.detach().copy_(target)
        return self.model

    def rounding(self, distance: float) -> Rounding:
        """What the model's precision leaves of the direction at a distance; the model stays where it is.

        Raises:
            NotMeasurable: If the change is 0 everywhere.
        """
        tally = RoundingTally()
        for name, weight in self._weights.items():
            for _, start, moved, change in self._runs(name, distance):
                tally.add(start, moved, change, weight.dtype)
        return tally.found()

    def give_back(self) -> None:
        """Make the weights what they were, also when that is interrupted."""
        try:
            self._copy_back()
        except KeyboardInterrupt:
            self._copy_back()
            raise

    def _copy_back(self) -> None:
        for name, weight in self._weights.items():
            weight.detach().copy_(self._pristine.tensor(name))

    def _runs(self, name: str, distance: float) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
        """A weight a run at a time: its place, as it was, moved, and the change between."""
        weight = self._weights[name]
        was = self._pristine.tensor(name).to(weight.device).reshape(-1)
        for place, run in runs_of(self._direction[name].to(weight.device)):
            start, change = exact(was[place : place + len(run)]), run.mul_(distance)
            yield place, start, start + change, change


@contextmanager
def sweeping(model: nn.Module, direction: Update, stored: Stored | None = None) -> Iterator[Sweep]:
    """A model that can be led along a direction for the length of a ``with`` block.

    On leaving, also after an exception or an interrupt, its weights are copied back, and every weight and stored buffer
    is held against a hash of what it was. Cost: one more copy of the weights that move, or none with ``stored``, and
    two passes for the hash.

    Args:
        model: The model.
        direction: What a distance of 1 adds to it.
        stored: Where the very weights of this model lie, to be rebuilt from there instead of from a copy: they are
            taken in the precision they have there.

    Raises:
        IncompatibleUpdate: If a weight is missing from the model or has another shape there, or is not the stored one.
        NotMeasurable: If a weight that moves is quantised, or layers that share a weight are moved apart; or, on
            leaving, if the model is not what it was.
    """
    weights = _places(model, direction)
    if stored is not None:
        check_stored(stored, weights)
    before = fingerprint(model)
    sweep = Sweep(model, direction, weights, Copied(weights) if stored is None else stored)
    try:
        yield sweep
    finally:
        sweep.give_back()
        changed = unlike(before, fingerprint(model))
        if changed:
            raise NotMeasurable(
                f"'{changed[0]}' ({len(changed)} in all) is not after a sweep what it was before, so that nobody knows "
                "which model was measured; something beside the sweep has written into the model"
            )


@contextmanager
def perturbed(
    model: nn.Module, direction: Update, distance: float, stored: Stored | None = None
) -> Iterator[nn.Module]:
    """A model at one distance along a direction, for the length of a ``with`` block; see `sweeping`.

    Raises:
        IncompatibleUpdate: If a weight is missing from the model or has another shape there, or is not the stored one.
        NotMeasurable: If a weight that moves is quantised, or the model is not what it was on leaving.
        ValueError: If the distance is not a finite number.
    """
    with sweeping(model, direction, stored) as sweep:
        yield sweep.to(distance)


def _places(model: nn.Module, direction: Update) -> dict[str, nn.Parameter]:
    """The weights that a direction moves, in its order."""
    if not len(direction):
        raise NotMeasurable("a direction that moves no weight leads nowhere")
    direction.places_in(model)
    return movable(model, direction.__contains__)
