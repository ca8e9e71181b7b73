"""How many sigmas a displacement is long, for Gaussian noise of any covariance: its Mahalanobis norm.

Noise on a part of the parameters says nothing of moves of another part, so these are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum, isfinite, sqrt
from typing import Final

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable

ROUNDING: Final = 1e-6
"""A share of the length that may lie outside of the noise's range: displacements are differences in float32."""


def sigmas_moved(norm: float, sigma: float) -> float:
    """Length of a displacement in sigmas, for noise that is alike in all directions.

    Args:
        norm: Its Euclidean norm, over the parameters that the noise moves.
        sigma: Standard deviation of the noise on each.

    Raises:
        ValueError: If sigma is not positive or the norm is negative.
    """
    check_sigma(sigma)
    if not (isfinite(norm) and norm >= 0):
        raise ValueError(f"the length of a displacement is finite and at least 0, found {norm}")
    return norm / sigma


def sigmas_by_part(norms: Mapping[str, float], sigmas: Mapping[str, float]) -> float:
    """The same for noise with a sigma of its own on every part, such as a tensor or a layer.

    Args:
        norms: Part -> norm of its displacement; a part that did not move may be left out.
        sigmas: Part -> standard deviation of the noise; 0, or left out, where there is none.

    Returns:
        The root of the sum of (norm / sigma)^2.

    Raises:
        NotMeasurable: If a part moved on which there is no noise.
        ValueError: If a sigma or a norm is negative.
    """
    if any(not (isfinite(sigma) and sigma >= 0) for sigma in sigmas.values()):
        raise ValueError(f"a sigma is finite and at least 0, found {min(sigmas.values())}")
    bare = sorted(part for part, norm in norms.items() if norm != 0 and not sigmas.get(part, 0.0))
    if bare:
        raise NotMeasurable(
            f"no certificate: the displacement moves {len(bare)} parts on which there is no noise, among them "
            f"'{bare[0]}'; put noise on them, or freeze them while tuning"
        )
    return sqrt(fsum(sigmas_moved(norm, sigmas[part]) ** 2 for part, norm in norms.items() if norm != 0))


def sigmas_in_range(displacement: Float[np.ndarray, " d"], factor: Float[np.ndarray, "d k"]) -> float:
    """The same for noise ``factor @ z`` with z ~ N(0, I): the length of the shortest z that gives the displacement.

    Args:
        displacement: What the parameters moved by.
        factor: Any factor of the covariance, of any rank.

    Raises:
        NotMeasurable: If no z gives it: the displacement leaves the range of the noise.
    """
    moved, spread = np.asarray(displacement, np.float64), np.asarray(factor, np.float64)
    shortest = np.linalg.lstsq(spread, moved, rcond=None)[0]
    outside, length = float(np.linalg.norm(moved - spread @ shortest)), float(np.linalg.norm(moved))
    if outside > ROUNDING * length:
        raise NotMeasurable(
            f"no certificate: {outside / length:.2%} of the displacement's length lies outside of the range of the "
            f"noise; draw noise in a space that holds the displacement"
        )
    return float(np.linalg.norm(shortest))


def check_sigma(sigma: float) -> None:
    """Refuse a size of noise that is none.

    Raises:
        ValueError: If it is not a finite number above 0.
    """
    if not (isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma is the standard deviation of the noise, a finite number above 0, found {sigma}")
