"""Rotations from the side of their generators: angles, lengths that a truncated series loses, steps, clocks.

A skew block Q has eigenvalues ``±iq``. The Cayley map turns its plane by ``t = 2 arctan q``; the series that peft sums
in its stead is ``C(Q) (I - Q^m)`` with m one less than its number of terms, so that it turns by the same angle and
changes lengths by ``|1 - (iq)^m|``. Everything here follows from the q alone, which are the singular values of Q.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import exact
from holdfast.core.errors import NotMeasurable

Clock = Literal["linear", "sqrt", "geodesic"]
"""How a generator grows along a path: ``t Q``, ``sqrt(t) Q``, or such that every angle grows evenly."""


def neumann(generator: Float[Tensor, "blocks width width"], terms: int = 5) -> Float[Tensor, "blocks width width"]:
    """The truncated Cayley series ``I + 2Q + ... + 2Q^(terms - 2) + Q^(terms - 1)`` of each skew block.

    It equals ``cayley(Q) (I - Q^(terms - 1))``. Five terms are peft's default.

    Raises:
        ValueError: If there are fewer than two terms.
    """
    _check_terms(terms)
    identity = torch.eye(generator.shape[-1], dtype=generator.dtype, device=generator.device)
    rest = generator
    for _ in range(terms - 2):  # Horner's rule
        rest = generator @ (2 * identity + rest)
    return identity + rest


def eigen_sizes(generator: Float[Tensor, "blocks width width"]) -> Float[Tensor, "blocks width"]:
    """The q of all eigenvalues ``±iq`` of each block, descending, in float64; pairs, and a 0 for odd widths."""
    sizes: Tensor = torch.linalg.svdvals(generator.double())
    return sizes


def angles_rad(sizes: Float[Tensor, " ..."]) -> Float[Tensor, " ..."]:
    """The angles ``2 arctan q`` by which eigenvalues of these sizes turn, in [0, pi)."""
    return 2 * torch.arctan(sizes)


def rms_angle_rad(sizes: Float[Tensor, " ..."]) -> float:
    """The root of the mean square of all eigen-angles: how strong a rotation is.

    Raises:
        NotMeasurable: If there is no eigenvalue.
    """
    if not sizes.numel():
        raise NotMeasurable("the strength of a rotation of no dimension: it has no angle")
    return float(angles_rad(sizes).square().mean().sqrt())


def stretches(sizes: Float[Tensor, " ..."], terms: int = 5) -> Float[Tensor, " ..."]:
    """The singular values ``|1 - (iq)^(terms - 1)|`` of the truncated series: ``|1 - q^4|`` for five terms."""
    # Where q^4 is near 1 the square may round to less than 0.
    return (1 + _excess(sizes, terms)).clamp(min=0).sqrt()


def series_defect(sizes: Float[Tensor, "blocks width"], terms: int = 5) -> Float[Tensor, " blocks"]:
    """How far the truncated series of each block is from a rotation: ``||R^T R - I||_F / sqrt(width)``.

    That is the root mean square of ``|s^2 - 1|`` over the singular values s, formed without their difference from 1.
    """
    return _excess(sizes, terms).square().mean(-1).sqrt()


def step_norm(sizes: Float[Tensor, " ..."], terms: int | None = None) -> float:
    """``||R - I||_F`` over all blocks: the root of the sum of ``4 q^2 / (1 + q^2)``.

    Args:
        sizes: The q of every eigenvalue, each of a pair by itself.
        terms: Terms of the truncated series; ``None`` for the exact Cayley map.
    """
    # C - I = 2iq / (1 - iq); the series adds -(iq)^m (1 + iq) / (1 - iq) to it.
    turn = 1j * sizes.to(torch.complex128)
    moved = 2 * turn / (1 - turn)
    if terms is not None:
        _check_terms(terms)
        moved = moved - turn ** (terms - 1) * (1 + turn) / (1 - turn)
    return float(torch.linalg.vector_norm(moved))


def geodesic(generator: Float[Tensor, "blocks width width"], t: float) -> Float[Tensor, "blocks width width"]:
    """The generator whose Cayley map turns by ``t`` times the angles: each q becomes ``tan(t arctan q)``.

    Worked out in float64 and returned in float32, or float64 where the generator is.

    Raises:
        NotMeasurable: If an angle would reach half a turn, which no generator makes.
    """
    # -iQ is Hermitian with real eigenvalues in pairs ±q; an odd function of them is skew and real again.
    values, vectors = torch.linalg.eigh(-1j * generator.to(torch.complex128))
    half_angles = t * torch.arctan(values)
    if half_angles.numel() and float(half_angles.abs().max()) >= math.pi / 2:
        raise NotMeasurable(
            f"{t:g} times the rotation: its largest angle of {2 * float(values.abs().max().arctan()):.3g} rad would "
            "reach half a turn, which no generator makes; ask for a smaller share"
        )
    grown = ((vectors * (1j * half_angles.tan())[..., None, :]) @ vectors.mH).real
    # Rounding leaves a symmetric part of the size of the last bit; a generator has none.
    skewed: Tensor = 0.5 * (grown - grown.mT)
    return skewed.to(exact(generator).dtype)


def clocked(
    generator: Float[Tensor, "blocks width width"], t: float, clock: Clock = "linear"
) -> Float[Tensor, "blocks width width"]:
    """The generator at ``t`` in [0, 1] of a path from no rotation to this one.

    Raises:
        NotMeasurable: If a geodesic would reach half a turn.
    """
    share = share_of(t, clock)
    return geodesic(generator, share) if clock == "geodesic" else share * exact(generator)


def clocked_sizes(sizes: Float[Tensor, " ..."], t: float, clock: Clock = "linear") -> Float[Tensor, " ..."]:
    """The q at ``t`` of a path, from those at its end: ``t q``, ``sqrt(t) q`` or ``tan(t arctan q)``."""
    share = share_of(t, clock)
    return torch.tan(share * torch.arctan(sizes)) if clock == "geodesic" else share * sizes


def share_of(t: float, clock: Clock) -> float:
    """The share of the generator, or of its angles, that is reached at ``t``.

    Raises:
        ValueError: If ``t`` lies before the base.
    """
    if t < 0:
        raise ValueError(f"a point of a path at {t:g}: it begins at 0, the base")
    return math.sqrt(t) if clock == "sqrt" else t


def _excess(sizes: Tensor, terms: int) -> Tensor:
    """``|1 - (iq)^m|^2 - 1 = q^(2m) - 2 q^m cos(m pi / 2)``."""
    _check_terms(terms)
    power = terms - 1
    cosine = (1, 0, -1, 0)[power % 4]
    return sizes ** (2 * power) - 2 * cosine * sizes**power


def _check_terms(terms: int) -> None:
    if terms < 2:
        raise ValueError(f"a Cayley series of {terms} terms: it has at least two, I and Q")
