"""Joining what several trainings have made of one tensor: cores are taken over, the rest goes some of the way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def slerp(
    one: Float[Tensor, " n"], other: Float[Tensor, " n"], share_frac: float, epsilon_rad: float
) -> Float[Tensor, " n"]:
    """The point a share of the way from one vector to another on the arc between them.

    ``sin((1 - w) a) / sin(a) one + sin(w a) / sin(a) other``, with ``a`` the angle between them (Shoemake 1985), in
    float64. Along the straight line where the angle is below epsilon, or that near to half a turn, where there is no
    one arc, or where a vector is zero.

    Args:
        one: Where it starts.
        other: Where it leads.
        share_frac: How far to go, from 0 to 1.
        epsilon_rad: Angle below which arc and line are taken for the same.
    """
    start, end = one.double(), other.double()
    lengths = float(start.norm()), float(end.norm())
    angle = 0.0
    if min(lengths) > 0:
        first, second = start / lengths[0], end / lengths[1]
        # Kahan's form: the arc cosine has half of the digits where the angle is small.
        angle = 2 * math.atan2(float((first - second).norm()), float((first + second).norm()))
    if angle < epsilon_rad or math.pi - angle < epsilon_rad:
        return ((1 - share_frac) * start + share_frac * end).to(one.dtype)
    weights = math.sin((1 - share_frac) * angle) / math.sin(angle), math.sin(share_frac * angle) / math.sin(angle)
    return (weights[0] * start + weights[1] * end).to(one.dtype)


def fused(
    base: Float[Tensor, "*shape"],
    ends: Sequence[tuple[Float[Tensor, "*shape"], Bool[Tensor, "*shape"]]],
    share_frac: float,
    epsilon_rad: float,
) -> Float[Tensor, "*shape"]:
    """One tensor of a base and of several trainings, fused.

    Scalars of no core move towards each training in turn, along the arc between the vectors of all such scalars of the
    tensor. Those of a core take the value of its training; of several, that of the first.

    Args:
        base: The tensor of the base.
        ends: The same tensor after each training, and which of its scalars are that training's core.
        share_frac: How far to go towards each.
        epsilon_rad: Angle below which the arc is a line.
    """
    found, free = base.clone(), torch.ones_like(base, dtype=torch.bool)
    for _, own in ends:
        free &= ~own
    for values, _ in ends:
        found[free] = slerp(found[free], values[free], share_frac, epsilon_rad)
    for values, own in reversed(ends):
        found[own] = values[own]
    return found
