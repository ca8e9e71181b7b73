"""The leading singular directions of a matrix that is only multiplied with: block Lanczos, until they hold still.

The block method of Golub, Luk and Overton (1981), as Rayleigh-Ritz on a basis that grows by the residuals, with thick
restarts (Wu and Simon, 2000). The basis is kept orthonormal in float64; the products are those of the matrix.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.core.errors import NotMeasurable

RESIDUAL: Final = 1e-5
"""Default residual: a few times what products in float32 leave on a matrix of pure noise, 4096 a side."""

GUARD: Final = 12
"""Random directions beside those asked for: with a warm start alone, what is new could stay unseen."""

BLOCKS: Final = 8
"""How many blocks the basis holds before it is condensed."""


def leading_spectrum(
    matrix: Delta,
    count: int,
    start: Float[Tensor, "inputs guesses"] | None = None,
    residual: float = RESIDUAL,
    rounds: int = 200,
) -> Spectrum:
    """The ``count`` largest singular values with their directions, iterated to a residual.

    A value is off by less than the residual, as a rule by its square over the gap to the next one. A direction is off
    by residual over gap, so directions of nearly equal values stay loose; the span of all is as sure as the gap that
    follows them. Matrices too small for the basis are decomposed exactly.

    Args:
        matrix: A change, or a weight as one.
        count: How many.
        start: Right directions to begin with, such as those of the weight before the change. Random ones are added.
        residual: Largest ``||A^T u - s v||`` over all pairs, as a share of the largest singular value.
        rounds: Products with the matrix and its transpose before giving up.

    Returns:
        The leading part of the spectrum, in the matrix's precision.

    Raises:
        NotMeasurable: If there are fewer singular values, entries are not finite, or the residual is not reached.
    """
    if len(matrix.shape) != 2 or not 1 <= count <= min(matrix.shape):
        found = f"has {min(matrix.shape)}" if len(matrix.shape) == 2 else "is no matrix"
        raise NotMeasurable(f"{count} singular values of what has shape {matrix.shape}: it {found}")
    block = count + GUARD
    if min(matrix.shape) <= BLOCKS * block:
        return spectrum_of(matrix.dense()).top(count)
    matrix = matrix.in_memory()
    fresh = _first_block(matrix, block, start)
    basis, image = fresh[:, :0], fresh.new_zeros(matrix.shape[0], 0)
    worst, largest = float("inf"), 0.0
    for _ in range(rounds):
        product = matrix.times(fresh.T).T
        basis, image = torch.cat([basis, fresh], dim=1), torch.cat([image, product.double()], dim=1)
        # Directions by the Gram matrix, in float64; values by the small decomposition, which does not square them.
        directions = _falling_directions(image)
        left, values, turn = torch.linalg.svd(image @ directions[:, :block], full_matrices=False)
        right = basis @ (directions[:, :block] @ turn.mT)
        error = matrix.times_left(left.T).T.double() - right * values
        worst, largest = float(error[:, :count].norm(dim=0).max()), float(values[0])
        if worst <= residual * largest:
            return Spectrum(*(part[..., :count].to(product.dtype) for part in (left, values, right)))
        if basis.shape[1] + block > BLOCKS * block:
            basis, image = basis @ directions[:, : 2 * block], image @ directions[:, : 2 * block]
        fresh = _orthonormal(error, basis, floor=1e-3 * residual * largest)
    raise NotMeasurable(
        f"the {count} largest singular values of a matrix of shape {matrix.shape}: after {rounds} rounds the residual "
        f"is {worst / largest:.1e} of the largest, {residual:.1e} was asked; allow a larger residual, or take all of "
        "them exactly"
    )


def _first_block(matrix: Delta, block: int, start: Tensor | None) -> Float[Tensor, "inputs width"]:
    width = matrix.shape[1]
    drawn = torch.randn(width, block, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = drawn.to(matrix.device)
    if not bool(torch.isfinite(matrix.times(drawn[:, 0])).all()):
        raise NotMeasurable(f"singular values of a matrix of shape {matrix.shape}: its products are not finite")
    guesses = drawn if start is None else torch.cat([torch.linalg.qr(start.to(drawn)).Q, drawn], dim=1)
    return _orthonormal(guesses, drawn[:, :0], floor=1e-6)


def _falling_directions(image: Float[Tensor, "outputs width"]) -> Float[Tensor, "width width"]:
    rising: Tensor = torch.linalg.eigh(image.mT @ image).eigenvectors
    return rising.flip(-1)


def _orthonormal(columns: Tensor, basis: Tensor, floor: float) -> Tensor:
    """An orthonormal basis of what the columns add to a basis, without directions shorter than the floor."""
    outside = columns - basis @ (basis.mT @ columns)
    directions, sizes, _ = torch.linalg.svd(outside, full_matrices=False)
    kept = directions[:, sizes > floor]
    # Short directions carry the rounding errors of long ones: take the basis out once more.
    added: Tensor = torch.linalg.qr(kept - basis @ (basis.mT @ kept)).Q
    return added
