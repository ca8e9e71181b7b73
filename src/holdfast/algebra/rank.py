"""Over how many directions a change is spread."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.lanczos import RESIDUAL, leading_spectrum
from holdfast.algebra.low_rank import as_low_rank
from holdfast.core.errors import NotMeasurable


def singular_values(change: Delta) -> Float[Tensor, " k"]:
    """All singular values of a change, descending: of two factors from their triangles, else by decomposition.

    Raises:
        NotMeasurable: If the change is a vector or has entries that are not finite.
    """
    held = as_low_rank(change) or Dense(change.dense())
    if not all(bool(torch.isfinite(part).all()) for part in held.factors() or (held.dense(),)):
        raise NotMeasurable(
            f"singular values of a change of shape {change.shape}: it has entries that are not finite; take a "
            "checkpoint from before training diverged"
        )
    return held.singular_values()


def top_singular_values(change: Delta, count: int, residual: float = RESIDUAL) -> Float[Tensor, " count"]:
    """The largest singular values of a change: exact for two factors, else iterated to a residual.

    A tenth of the time of all values, or less, where the change is large. See `leading_spectrum` for how sure they
    are, and for what is refused.
    """
    if as_low_rank(change) is not None and 1 <= count <= min(change.shape):
        return singular_values(change)[:count]
    return leading_spectrum(change, count, residual=residual).values


def stable_rank(values: Float[Tensor, " k"], norm: float | None = None) -> float:
    """``||dW||_F^2 / ||dW||_2^2``, between 1 and the rank: how many directions as strong as the strongest there are.

    PEFT-Arena prints it as "effective rank".

    Args:
        values: Singular values, descending; the largest alone will do if the norm is given.
        norm: Frobenius norm of the change; from the values, if they are all there.

    Returns:
        The stable rank.

    Raises:
        NotMeasurable: If the update is zero.
    """
    values = _non_zero(values, "stable rank")
    return (float(values.norm()) if norm is None else norm) ** 2 / float(values[0]) ** 2


def entropy_rank(values: Float[Tensor, " k"]) -> float:
    """``exp(-sum p log p)`` with ``p = s / sum s`` over all singular values: the effective rank of Roy and Vetterli.

    Many values of the size of rounding add up: of a merged checkpoint less its base it is too large where the update
    is small. Changes held as factors have none.

    Raises:
        NotMeasurable: If the update is zero.
    """
    values = _non_zero(values, "entropy rank")
    return float(torch.special.entr(values / values.sum()).sum().exp())


def _non_zero(values: Tensor, quantity: str) -> Tensor:
    if not bool(values.any()):
        raise NotMeasurable(f"{quantity} of a zero update is undefined: nothing was changed")
    return values.double()
