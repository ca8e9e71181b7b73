"""How far single singular vectors of a weight turned, and which of them are new."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from holdfast.algebra.spectrum import BLOCK_ROWS, Side, Spectrum, check_comparable, check_complete
from holdfast.core.errors import NotMeasurable

LEADING: Final = 10
"""How many vectors of the tuned weight are looked at for intruders, unless asked otherwise."""

THRESHOLD: Final = 0.5
"""Cosine below which a vector is an intruder, unless asked otherwise."""


def alignment(base: Spectrum, tuned: Spectrum, side: Side = "right") -> Float[Tensor, " k"]:
    """``|v_i(W0) . v_i(W1)|`` at each index, from 0 to 1: the singular vector alignment of PEFT-Arena.

    Vectors that change places count as turned by a right angle, and tied ones are chance: see `matched_alignment`,
    and `principal_angles` for whole subspaces. Spectra of different length are compared as far as both go.
    """
    check_comparable(base, tuned)
    count = min(len(base.values), len(tuned.values))
    before, after = base.directions(side)[:, :count], tuned.directions(side)[:, :count]
    # A few directions at a time: a product of all of them would be fetched from memory twice more.
    pairs = zip(torch.split(before, BLOCK_ROWS, dim=1), torch.split(after.to(before), BLOCK_ROWS, dim=1), strict=True)
    return torch.cat([(one * other).sum(0) for one, other in pairs]).abs().clamp(max=1.0)


def matched_alignment(base: Spectrum, tuned: Spectrum, side: Side = "right") -> Float[Tensor, " k"]:
    """Singular vector alignment after vectors found their partners, by the assignment of the largest sum of cosines.

    In the order of the base's vectors; the mean is never below that of `alignment`, single entries can be. Cost:
    k^3 in the worst case, on the CPU; take the leading part of both spectra where they are long.
    """
    check_comparable(base, tuned)
    before = base.directions(side)
    cosines = (before.mT @ tuned.directions(side).to(before)).abs()
    rows, columns = linear_sum_assignment(cosines.cpu().numpy(), maximize=True)
    return cosines[torch.from_numpy(rows), torch.from_numpy(columns)].clamp(max=1.0)


def best_cosines(base: Spectrum, tuned: Spectrum, count: int = LEADING, side: Side = "left") -> Float[Tensor, " count"]:
    """For each leading vector of the tuned weight, its cosine with the nearest of all vectors of the base.

    Vectors of tied singular values count as one subspace, since any turn of them is as good. Where the base is zero it
    has no directions, so a vector that lies there is near none.

    Args:
        base: Complete spectrum of the weight before.
        tuned: Spectrum of the weight after, or its leading part.
        count: How many leading vectors of the tuned weight.
        side: Directions of the outputs, or of the inputs.

    Returns:
        Cosines from 0 to 1.

    Raises:
        NotMeasurable: If the tuned spectrum holds fewer vectors, or the base's only its leading part.
    """
    check_comparable(base, tuned)
    check_complete(base, "the nearest of all directions")
    if not 1 <= count <= len(tuned.values):
        raise NotMeasurable(
            f"the leading {count} directions of a weight of shape {tuned.shape}: {len(tuned.values)} are known"
        )
    before = base.directions(side)[:, : base.rank]
    cosines = tuned.directions(side)[:, :count].to(before).mT @ before
    for run in base.ties():
        cosines[:, run.start] = cosines[:, run.start : run.stop].norm(dim=1)
    nothing = cosines.new_zeros(count, 1)
    return torch.cat([nothing, cosines.abs()], dim=1).amax(1).clamp(max=1.0)


def intruder_dimensions(
    base: Spectrum, tuned: Spectrum, count: int = LEADING, threshold: float = THRESHOLD, side: Side = "left"
) -> int:
    """How many of the leading vectors of the tuned weight are near no vector of the base (Shuttleworth et al., 2024).

    Defined in arXiv 2410.21228, for left vectors. Refused as `best_cosines` is.
    """
    return int((best_cosines(base, tuned, count, side) < threshold).sum())
