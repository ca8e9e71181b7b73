"""Certificates: from scores under fresh noise to what every fine-tune within a distance must keep.

The noise must not have been looked at when its sigma or its space was chosen; several tries share the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.core.certificate import Certificate
from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.bounds import bound, radius_sigmas
from holdfast.metrics.basin.clopper_pearson import lower_limit
from holdfast.metrics.basin.distance import check_sigma
from holdfast.metrics.basin.mean_limits import mean_limit
from holdfast.metrics.interval import ROUNDING


@dataclass(frozen=True)
class Noise:
    """The noise under which scores were taken.

    Attributes:
        sigma: Its standard deviation, or for several the one that lengths are told in.
        space: Where it lies, in words.
    """

    sigma: float
    space: str = "all weights"

    def __post_init__(self) -> None:
        check_sigma(self.sigma)


def certify_share(
    noise: Noise,
    direction_scores: Sequence[float],
    threshold: float,
    *,
    keep: float = 0.5,
    sigmas: float | None = None,
    level: float = 0.99,
    ability: str = "",
    chance: float = 0.0,
) -> Certificate:
    """What share of directions surely goes on scoring a threshold: one direction is one trial (Clopper-Pearson).

    Args:
        noise: The noise.
        direction_scores: Score on the whole benchmark in every direction, their number fixed beforehand.
        threshold: The score that counts as good, chosen before these directions were drawn.
        keep: Share of directions that the radius keeps; 0.5 keeps the median score.
        sigmas: Mahalanobis length of the displacement of interest (`distance`), if there is one.
        level: Confidence of the lower limit, one-sided.
        ability: Name of the task.
        chance: Score of a guess that knows nothing.

    Returns:
        The certificate; with no radius where not even the base keeps it.

    Raises:
        ValueError: If there are no directions, or a score or a threshold lies outside of [0, 1].
    """
    scores = _direction_scores(direction_scores)
    if not 0 <= threshold <= 1:
        raise ValueError(f"a score to be reached lies within 0 and 1, found {threshold}")
    good = int((scores >= threshold - ROUNDING).sum())
    limit = lower_limit(good, scores.size, level)
    found = _certificate(noise, limit, scores.size, keep, sigmas, level, "Clopper-Pearson", ability, chance)
    return Certificate.model_validate({**found, "about": "share", "threshold": threshold})


def certify_score(
    noise: Noise,
    direction_scores: Sequence[float],
    *,
    keep: float = 0.5,
    sigmas: float | None = None,
    level: float = 0.99,
    ability: str = "",
    chance: float = 0.0,
) -> Certificate:
    """What mean score under noise is surely kept, from a limit that may be looked at after every direction.

    Args:
        noise: The noise.
        direction_scores: Mean score in every direction, over all items or over items drawn anew for each.
        keep: The mean score that the radius keeps.
        sigmas: Mahalanobis length of the displacement of interest, if there is one.
        level: Confidence of the lower limit, one-sided.
        ability: Name of the task.
        chance: Score of a guess that knows nothing.

    Returns:
        The certificate; with no radius where not even the base keeps it.

    Raises:
        ValueError: If there are no directions or a score lies outside of [0, 1].
    """
    scores = _direction_scores(direction_scores)
    limit = mean_limit(scores, level)
    found = _certificate(noise, limit, scores.size, keep, sigmas, level, "betting", ability, chance)
    return Certificate.model_validate({**found, "about": "score"})


def _certificate(
    noise: Noise,
    limit: float,
    directions: int,
    keep: float,
    sigmas: float | None,
    level: float,
    method: str,
    ability: str,
    chance: float,
) -> dict[str, object]:
    """What the two kinds have in common."""
    try:
        radius: float | None = noise.sigma * radius_sigmas(limit, keep)
    except NotMeasurable:
        radius = None
    return {
        "ability": ability,
        "space": noise.space,
        "sigma": noise.sigma,
        "level": level,
        "method": method,
        "directions": directions,
        "p_lower": limit,
        "keep": keep,
        "radius": radius,
        "displacement": None if sigmas is None else noise.sigma * sigmas,
        "strong": None if sigmas is None else bound(limit, sigmas),
        "weak": None if sigmas is None else bound(limit, sigmas, "weak"),
        "chance": chance,
    }


def _direction_scores(given: Sequence[float]) -> np.ndarray:
    scores: np.ndarray = np.asarray(given, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError("a certificate needs one score a direction, found no directions")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"scores lie within 0 and 1, found {scores.min()} to {scores.max()}")
    return scores
