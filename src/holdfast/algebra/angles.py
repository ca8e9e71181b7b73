"""How far the leading directions of a weight turned, as subspaces: the same whatever basis stands for them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.spectrum import TIE, Side, Spectrum, check_comparable
from holdfast.core.errors import NotMeasurable


def principal_angles(base: Spectrum, tuned: Spectrum, count: int, side: Side) -> Float[Tensor, " count"]:
    """Principal angles between the leading subspaces of a weight before and after, rising, in radians up to pi / 2.

    Worked out in float64. Below 45 degrees an angle comes from its sine, above from its cosine (Björck and Golub,
    1973): a cosine alone loses half of the digits of a small angle, and reports 1e-4 for none in float32.

    Args:
        base: Spectrum of the weight before.
        tuned: Spectrum of the weight after.
        count: How many leading directions span each subspace.
        side: Directions of the outputs, or of the inputs.

    Returns:
        The angles.

    Raises:
        NotMeasurable: If the count exceeds half of the smaller side, where subspaces must meet whatever they are, or
            parts two tied singular values, which leaves the subspace open.
    """
    check_comparable(base, tuned)
    for spectrum in (base, tuned):
        _check_subspace(spectrum, count)
    before, after = (_orthonormal(spectrum.directions(side)[:, :count]) for spectrum in (base, tuned))
    overlap = before.mT @ after
    cosines = torch.linalg.svdvals(overlap).clamp(max=1.0)
    sines = torch.linalg.svdvals(after - before @ overlap).clamp(max=1.0).flip(0)
    return torch.where(sines.square() < 0.5, sines.asin(), cosines.acos())


def subspace_distance(angles: Float[Tensor, " count"]) -> float:
    """``||P0 - P1||_F / sqrt(2 k)`` of the projections on two subspaces, from 0 to 1: the rms sine of their angles."""
    return float(angles.sin().square().mean().sqrt())


def _check_subspace(spectrum: Spectrum, count: int) -> None:
    most, known = min(spectrum.shape) // 2, len(spectrum.values)
    asked = f"the leading {count} directions of a weight of shape {spectrum.shape}"
    if not 1 <= count <= most:
        raise NotMeasurable(f"{asked}: the count must lie between 1 and half of its smaller side, {most}")
    if count > known:
        raise NotMeasurable(f"{asked}: {known} are known, take more of its spectrum")
    values = spectrum.values
    if count < known and bool(values[count - 1] - values[count] <= TIE * values[0]):
        raise NotMeasurable(
            f"{asked}: singular values {count} and {count + 1} are equal, so which directions lead is chance; take "
            "another count"
        )


def _orthonormal(directions: Float[Tensor, "width count"]) -> Float[Tensor, "width count"]:
    # Singular vectors found in float32 are orthonormal to 1e-6 only, and angles can be smaller.
    basis: Tensor = torch.linalg.qr(directions.double()).Q
    return basis
