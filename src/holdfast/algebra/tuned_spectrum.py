"""The spectrum of a weight after an update, with as little new work as the form of the update allows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta, Dense, Sum, exact
from holdfast.algebra.lanczos import GUARD, RESIDUAL, leading_spectrum
from holdfast.algebra.low_rank import as_low_rank
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.sparse import Sparse
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.core.errors import IncompatibleUpdate


def tuned_spectrum(weight: Float[Tensor, "outputs inputs"], change: Delta, base: Spectrum) -> Spectrum:
    """The spectrum of ``weight + change``.

    For a rotation of this weight, ``W R = U diag(s) (R^T V)^T``: left directions and values are those of the base, bit
    for bit, right ones are turned block by block, and nothing is decomposed. For every other change the cost is one
    full decomposition; `leading_tuned_spectrum` spares most of it.

    Args:
        weight: The weight before the update.
        change: The update of it.
        base: The spectrum of the weight, or its leading part.

    Returns:
        The whole spectrum; of a rotation as much as there is of the base's.

    Raises:
        IncompatibleUpdate: If the change has another shape, or the spectrum is that of another weight.
    """
    weight = _checked(weight, change, base)
    return _turned(weight, change, base) or spectrum_of(weight + change.dense().to(weight))


def leading_tuned_spectrum(
    weight: Float[Tensor, "outputs inputs"], change: Delta, base: Spectrum, count: int, residual: float = RESIDUAL
) -> Spectrum:
    """The ``count`` leading directions of ``weight + change``, iterated to a residual.

    The iteration starts from the directions of the base and those of a change of low rank, and always from random ones
    too. How sure the result is, and what is refused: `leading_spectrum`.

    Args:
        weight: The weight before the update.
        change: The update of it.
        base: The spectrum of the weight, or its leading part.
        count: How many directions.
        residual: As a share of the largest singular value.

    Returns:
        The leading part of the spectrum.

    Raises:
        IncompatibleUpdate: If the change has another shape, or the spectrum is that of another weight.
    """
    weight = _checked(weight, change, base)
    if len(base.values) >= count and (turned := _turned(weight, change, base.top(count))) is not None:
        return turned
    product, start = as_low_rank(change), base.right[:, :count]
    if product is not None and product.right.shape[0] <= count + GUARD:
        start = torch.cat([start, product.right.mT.to(start)], dim=1)
    apart = product or (change if isinstance(change, Sparse) else None)
    tuned = Sum(Dense(weight), apart) if apart else Dense(weight + change.dense().to(weight))
    return leading_spectrum(tuned, count, start=start, residual=residual)


def _checked(weight: Tensor, change: Delta, base: Spectrum) -> Tensor:
    if change.shape != tuple(weight.shape):
        raise IncompatibleUpdate(
            f"the change has shape {change.shape}, the weight has shape {tuple(weight.shape)}: was it made from "
            "another base?"
        )
    if not base.is_of(weight):
        raise IncompatibleUpdate(
            f"the spectrum given is not that of this weight of shape {tuple(weight.shape)}: work it out again with "
            "spectrum_of(weight)"
        )
    return exact(weight.detach())


def _turned(weight: Tensor, change: Delta, base: Spectrum) -> Spectrum | None:
    if not isinstance(change, Rotation) or not torch.equal(weight, change.weight.to(weight)):
        return None
    return Spectrum(base.left, base.values, change.turn_rows(base.right.mT).mT)
