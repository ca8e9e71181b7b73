"""Straight ways from a base to wherever a direction leads, in steps of one standard deviation of every scalar moved.

A normal direction is as long as it was drawn, about the square root of its number of scalars, and every other one is
given that length: so one distance means one thing on all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from holdfast.algebra.delta import frobenius_norm
from holdfast.algebra.noise import Noise
from holdfast.core.errors import NotMeasurable
from holdfast.weights.bare import base_name
from holdfast.weights.perturbing.movable import Keep, movable
from holdfast.weights.update import Update


@dataclass(frozen=True)
class Ray:
    """A direction of a model's weights.

    Attributes:
        label: What kind it is, such as ``gaussian``.
        update: What a distance of 1 adds.
        d: How many scalars it moves.
        left_out: Names of weights of the model that it does not move.
    """

    label: str
    update: Update
    d: int
    left_out: tuple[str, ...] = ()

    def at(self, t: float) -> Update:
        """The update at a distance in standard deviations; at 0 it moves nothing."""
        return self.update.scaled(t) if t else Update({})

    @cached_property
    def length(self) -> float:
        """The Euclidean norm of the direction, once it is asked for. Cost: noise is drawn through."""
        return self.update.norm()

    def norm(self, distance: float) -> float:
        """How far a model at this distance is from its base, as a Euclidean norm over all scalars."""
        return abs(distance) * self.length

    def distance(self, norm: float) -> float:
        """The distance at which a model is this far from its base."""
        return norm / self.length


def gaussian(model: nn.Module, seed: int, keep: Keep | None = None) -> Ray:
    """Independent normal noise of standard deviation 1 on every scalar, not rescaled: the noise of the certificates.

    It is keyed by seed and name in the bare base: a weight has the same noise whatever else is moved, and also under an
    adapter.

    Args:
        model: The model: a base, or one with an adapter on it, of which ``keep`` may choose the tensors.
        seed: Of the noise.
        keep: Which weights are moved; without it, all.

    Raises:
        NotMeasurable: If no weight is moved, or one is quantised.
    """
    weights = movable(model, keep)
    noise = {
        name: Noise(tuple(weight.shape), seed, base_name(name), device=weight.device)
        for name, weight in weights.items()
    }
    return _ray("gaussian", model, weights, Update(noise))


def proportional(model: nn.Module, seed: int, keep: Keep | None = None) -> Ray:
    """Normal noise on every tensor in proportion to the root mean square of its weights.

    The standard deviations have a mean square of 1 over all scalars. It is not the noise of the certificates, which is
    alike on all scalars; a distance on it compares with one on `gaussian` only in length.

    Raises:
        NotMeasurable: If no weight is moved, one is quantised, or all are 0.
    """
    weights = movable(model, keep)
    sizes = {name: frobenius_norm(weight) for name, weight in weights.items()}
    count = sum(weight.numel() for weight in weights.values())
    overall = math.hypot(*sizes.values()) / math.sqrt(count)
    if not overall:
        raise NotMeasurable("noise in proportion to weights that are all 0; take noise that is alike on all")
    noise = {
        name: Noise(
            tuple(weight.shape),
            seed,
            base_name(name),
            scale=sizes[name] / math.sqrt(weight.numel()) / overall,
            device=weight.device,
        )
        for name, weight in weights.items()
        if weight.numel()
    }
    return _ray("proportional", model, weights, Update(noise))


def toward(update: Update, model: nn.Module, keep: Keep | None = None, label: str = "toward") -> Ray:
    """The way to a fine-tuned model, as long as a normal direction is expected to be: the root of ``d``.

    Where the fine-tune itself lies on it is ``ray.distance(update.norm())``.

    Args:
        update: What the fine-tuning did.
        model: The base.
        keep: Restricts it to some weights, and ``d`` to theirs.
        label: What the ray is called.

    Raises:
        NotMeasurable: If the update does not move these weights, by a finite distance.
    """
    weights = movable(model, keep)
    part = update if keep is None else update.only(lambda name: name in weights)
    norm = part.norm()
    if not 0 < norm < math.inf:
        raise NotMeasurable(
            f"the way toward an update whose norm on the weights chosen is {norm:g}: it has no direction"
        )
    count = sum(weight.numel() for weight in weights.values())
    return _ray(label, model, weights, part.scaled(math.sqrt(count) / norm))


def spaced_distances(least: float, most: float, points: int) -> tuple[float, ...]:
    """Distances from the least to the most, each as many times the one before.

    Raises:
        ValueError: If the least is not above 0, the most not above the least, or there are fewer than two points.
    """
    if not 0 < least < most < math.inf or points < 2:
        raise ValueError(
            f"{points} distances from {least:g} to {most:g}: two or more, from above 0 up to a larger one, are needed"
        )
    spread: list[float] = torch.logspace(math.log10(least), math.log10(most), points, dtype=torch.float64).tolist()
    return (least, *spread[1:-1], most)


def _ray(label: str, model: nn.Module, weights: dict[str, nn.Parameter], update: Update) -> Ray:
    left_out = tuple(name for name, _ in model.named_parameters() if name not in weights)
    return Ray(label, update, sum(weight.numel() for weight in weights.values()), left_out)
