"""How large a change is beside the weight it changes; to be read next to every measure of its shape."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.spectrum import Spectrum, check_comparable, check_complete
from holdfast.core.errors import NotMeasurable


@dataclass(frozen=True)
class RelativeSize:
    """Norms of a change over those of the weight.

    Attributes:
        frobenius: ``||dW||_F / ||W||_F``.
        spectral: ``||dW||_2 / ||W||_2``.
    """

    frobenius: float
    spectral: float


@dataclass(frozen=True)
class ValueChange:
    """How far the singular values of a weight moved; 0 for a rotation.

    Attributes:
        relative: ``||s(W1) - s(W0)||_2 / ||s(W0)||_2``, at most ``||dW||_F / ||W0||_F`` (Hoffman and Wielandt).
        peak: The largest move of one value, over the largest value of the base.
    """

    relative: float
    peak: float


def relative_size(values: Float[Tensor, " k"], base: Spectrum, norm: float | None = None) -> RelativeSize:
    """Size of a change beside its weight.

    Args:
        values: Singular values of the change, descending; the largest alone will do if the norm is given.
        base: Complete spectrum of the weight.
        norm: Frobenius norm of the change; from the values, if they are all there.

    Returns:
        Both ratios; 0 for a zero update.

    Raises:
        NotMeasurable: If the weight is zero, or its spectrum holds the leading part only.
    """
    _check_base(base, "relative size of an update")
    whole = float(values.double().norm()) if norm is None else norm
    return RelativeSize(whole / float(base.values.double().norm()), float(values[0]) / float(base.values[0]))


def singular_value_change(base: Spectrum, tuned: Spectrum) -> ValueChange:
    """How far singular values moved, the largest compared with the largest and so on.

    Raises:
        NotMeasurable: If the base is zero, or one spectrum holds the leading part only.
    """
    check_comparable(base, tuned)
    _check_base(base, "singular value change")
    check_complete(tuned, "singular value change")
    before = base.values.double()
    moved = tuned.values.double() - before
    return ValueChange(float(moved.norm() / before.norm()), float(moved.abs().max() / before[0]))


def _check_base(base: Spectrum, quantity: str) -> None:
    check_complete(base, quantity)
    if not bool(base.values.any()):
        raise NotMeasurable(f"{quantity}: the weight itself is zero, and nothing is large or small beside it")
