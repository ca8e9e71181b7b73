"""Ways out of a model: kinds of direction, and how the model is brought to a distance along each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from peft import PeftModel
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.core.keys import key_of
from holdfast.core.sites import block_of
from holdfast.weights.adapter_rays import live_frozen_a
from holdfast.weights.ascent import Loss, worst_case
from holdfast.weights.perturbing.movable import Keep, in_blocks, movable
from holdfast.weights.perturbing.sweep import Sweep, sweeping
from holdfast.weights.rays import Ray, gaussian, toward
from holdfast.weights.update import Update

RANDOM: Final = "random"
WORST: Final = "worst"
TOWARD: Final = "toward"
ALL_WEIGHTS: Final = "all weights"
OF_ADAPTER: Final = "B of an adapter, A frozen"


@dataclass(frozen=True)
class Way:
    """Directions of one kind out of a model.

    Attributes:
        direction: What the kind is called.
        space: Where its noise lies, in words.
        model: What is moved.
        ray: From a distance and a seed to the direction. A random one depends on the seed alone, a worst case on the
            distance.
        random: Whether seeds tell directions apart; otherwise there is a single one.
        options: All that decides the directions beside the model, for what is kept on disk.
    """

    direction: str
    space: str
    model: PreTrainedModel
    ray: Callable[[float, int], Ray]
    random: bool = True
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal ways out of equal models have equal keys."""
        return key_of({"direction": self.direction, "space": self.space, **self.options})

    @contextmanager
    def walking(self) -> Iterator[Walk]:
        """The model, ready to be brought anywhere; on leaving it is bit for bit what it was, found so by a hash."""
        walk = Walk(self)
        try:
            yield walk
        finally:
            walk.leave()


class Walk:
    """Brings a model from place to place, staying on a direction for as long as that is asked for. Made by `Way`."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self._stack = ExitStack()
        self._direction: tuple[float, int] | None = None
        self._sweep: Sweep | None = None

    def to(self, sigma: float, seed: int) -> PreTrainedModel:
        """The model at a distance along the direction of a seed; at 0 as it is."""
        if sigma:
            self._along(sigma, seed).to(sigma)
        else:
            self.leave()
        return self.way.model

    def lost_frac(self, sigma: float, seed: int) -> float:
        """Share of the numbers of the direction that rounding swallows there."""
        return self._along(sigma, seed).rounding(sigma).vanished_frac

    def leave(self) -> None:
        """Give the weights back, and hold them against their hash."""
        self._direction = self._sweep = None
        self._stack.close()

    def _along(self, sigma: float, seed: int) -> Sweep:
        direction = (0.0 if self.way.random else sigma, seed)
        if self._sweep is None or direction != self._direction:
            self.leave()
            sweep = self._stack.enter_context(sweeping(self.way.model, self.way.ray(sigma, seed).update))
            self._sweep, self._direction = sweep, direction
        return self._sweep


def random_way(
    model: PreTrainedModel, keep: Keep | None = None, direction: str = RANDOM, space: str = ALL_WEIGHTS
) -> Way:
    """Normal noise on all weights, or on some of them.

    Raises:
        NotMeasurable: If a weight that is to be moved is quantised.
    """
    movable(model, keep)
    return Way(direction, space, model, lambda sigma, seed: gaussian(model, seed, keep))


def layer_ways(model: PreTrainedModel) -> tuple[Way, ...]:
    """Normal noise on one decoder block, for each of them.

    Raises:
        NotMeasurable: If the model has no numbered blocks, or a weight is quantised.
    """
    found = {block_of(name)[0] for name, _ in model.named_parameters()}
    numbers = sorted(number for number in found if number is not None)
    if not numbers:
        raise NotMeasurable(
            f"'per-layer' noise on a {type(model).__name__}, which has no numbered blocks; leave it out"
        )
    return tuple(random_way(model, in_blocks(n), f"layer {n}", f"weights of layer {n}") for n in numbers)


def worst_way(model: PreTrainedModel, loss: Loss, steps: int, options: Mapping[str, object]) -> Way:
    """What ascent of a loss finds worst, sought anew at every distance; there may be worse.

    Args:
        model: The model.
        loss: What is climbed.
        steps: Of each ascent.
        options: What decides the loss.

    Raises:
        NotMeasurable: If a weight is quantised.
    """
    movable(model)
    found = {**options, "steps": steps}
    return Way(
        WORST,
        ALL_WEIGHTS,
        model,
        lambda sigma, seed: worst_case(model, loss, sigma, steps=steps).ray,
        random=False,
        options=found,
    )


def toward_way(model: PreTrainedModel, update: Update, name: str, identity: str) -> Way:
    """The straight way to a fine-tune, and beyond it.

    Args:
        model: The model.
        update: What leads to the fine-tune.
        name: What it is called.
        identity: Name of the update, by its numbers.

    Raises:
        NotMeasurable: If the update does not move the model, or layers that share a weight apart.
    """
    update.places_in(model)
    ray = toward(update, model)
    options = {"update": identity}
    return Way(f"{TOWARD} {name}", ALL_WEIGHTS, model, lambda sigma, seed: ray, random=False, options=options)


def adapter_way(adapter: PeftModel, name: str) -> Way:
    """Normal noise on the B of a live adapter whose A stays; the base may be quantised.

    Args:
        adapter: The adapter on its base.
        name: What it is called.

    Raises:
        NotMeasurable: If it is not of plain LoRA.
    """
    live_frozen_a(adapter, 0)
    # An adapter answers as the model that it is on does.
    model: PreTrainedModel = adapter
    return Way(f"adapter {name}", OF_ADAPTER, model, lambda sigma, seed: live_frozen_a(adapter, seed))


def identity_of_update(update: Update) -> str:
    """A name for an update that depends on its numbers alone. Cost: one pass over them."""
    hashed = hashlib.blake2b(digest_size=16)
    for name in sorted(update):
        hashed.update(name.encode())
        hashed.update(update[name].dense().float().cpu().contiguous().numpy().data)
    return hashed.hexdigest()
