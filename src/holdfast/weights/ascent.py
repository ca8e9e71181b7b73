"""The direction in which a loss grows most within a distance: projected gradient ascent (Madry et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from holdfast.algebra.delta import Dense, exact, frobenius_norm
from holdfast.core.errors import NotMeasurable
from holdfast.weights.perturbing.movable import Keep, movable
from holdfast.weights.perturbing.sweep import Sweep, sweeping
from holdfast.weights.rays import Ray
from holdfast.weights.update import Update

STEPS: Final = 30
REACH: Final = 2.5
"""Length of all steps together, in radii."""

Loss = Callable[[nn.Module], Tensor]
"""A differentiable loss of a model, a single number: a surrogate for the score that is to break."""


@dataclass(frozen=True)
class Ascent:
    """A worst case that was found; there may be worse ones.

    Attributes:
        ray: The direction, as long as a normal one is expected to be.
        distance: The distance for which it was sought, in standard deviations.
        losses: The loss at the base, and after every step.
    """

    ray: Ray
    distance: float
    losses: tuple[float, ...]


def worst_case(model: nn.Module, loss: Loss, distance: float, keep: Keep | None = None, steps: int = STEPS) -> Ascent:
    """Climb a loss from a base, in steps of one length along its gradient, inside the ball of a radius.

    The radius is ``distance`` times the root of the number of scalars moved. After a step that leaves the ball, the
    displacement is scaled back to its surface; the last one is scaled to the length of a normal direction. The loss is
    taken of the rounded weights, as the score will be. Memory: displacement and gradient in float32, and what
    `sweeping` keeps.

    Args:
        model: The base; it is left bit for bit as it was.
        loss: What is to grow. It is called with gradients enabled, and should say the same whenever it is asked.
        distance: At which distance the case is to be worst, in standard deviations.
        keep: Which weights are moved; without it, all.
        steps: How many, each of 2.5 radii over their number.

    Raises:
        ValueError: If the distance is not above 0 or there is no step.
        NotMeasurable: If a weight is quantised, or the loss or its gradient is not finite, or does not depend on the
            weights.
    """
    if not 0 < distance < math.inf or steps < 1:
        raise ValueError(f"a worst case {distance:g} away, in {steps} steps: a distance above 0 and a step are needed")
    weights = movable(model, keep)
    count = sum(weight.numel() for weight in weights.values())
    radius = distance * math.sqrt(count)
    gone = {name: torch.zeros_like(weight, dtype=exact(weight[:0]).dtype) for name, weight in weights.items()}
    # These changes are the displacement itself, and grow with it.
    direction = Update({name: Dense(tensor) for name, tensor in gone.items()})
    losses = []
    with sweeping(model, direction) as sweep, _differentiable(weights):
        for _ in range(steps):
            value, slopes = _climb(sweep, loss, weights)
            losses.append(value)
            _step(gone, slopes, REACH * radius / steps, radius)
            sweep.to(1)
        with torch.no_grad():
            losses.append(_finite(loss(model)))
    unit = math.sqrt(count) / _norm(gone)
    left_out = tuple(name for name, _ in model.named_parameters() if name not in weights)
    ray = Ray("worst case", Update({name: Dense(tensor.mul_(unit)) for name, tensor in gone.items()}), count, left_out)
    return Ascent(ray, distance, tuple(losses))


def _climb(sweep: Sweep, loss: Loss, weights: Mapping[str, nn.Parameter]) -> tuple[float, dict[str, Tensor]]:
    """The loss where the model stands, and its gradient."""
    with torch.enable_grad():
        value = loss(sweep.model)
        found = _finite(value)
        if not value.requires_grad:
            raise NotMeasurable("the loss does not depend on the weights that are to be moved: nothing leads upwards")
        slopes = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
    return found, {name: exact(slope) for name, slope in zip(weights, slopes, strict=True) if slope is not None}


def _step(gone: Mapping[str, Tensor], slopes: Mapping[str, Tensor], length: float, radius: float) -> None:
    """One step of a length along the slopes, and back onto the ball."""
    steepness = _norm(slopes)
    if not 0 < steepness < math.inf:
        raise NotMeasurable(
            f"the gradient of the loss has a norm of {steepness:g}: no direction leads upwards from here"
        )
    for name, slope in slopes.items():
        gone[name].add_(slope * (length / steepness))
    far = _norm(gone)
    if far > radius:
        for tensor in gone.values():
            tensor.mul_(radius / far)


def _norm(tensors: Mapping[str, Tensor]) -> float:
    return math.hypot(*map(frobenius_norm, tensors.values()))


def _finite(value: Tensor) -> float:
    found = float(value.detach())
    if not math.isfinite(found):
        raise NotMeasurable(f"the loss is {found} on the way to a worst case; take a smaller distance")
    return found


@contextmanager
def _differentiable(weights: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """Gradients for these weights, and afterwards for those that had them."""
    flags = {name: weight.requires_grad for name, weight in weights.items()}
    try:
        for weight in weights.values():
            weight.requires_grad_(True)
        yield
    finally:
        for name, weight in weights.items():
            weight.requires_grad_(flags[name])
