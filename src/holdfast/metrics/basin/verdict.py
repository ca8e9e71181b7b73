"""Whether a fine-tune that is at hand left the basin: its distance beside the width, and what it lost itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

from holdfast.core.basin import BasinVerdict, BasinWidth, Verdict
from holdfast.core.certificate import Certificate
from holdfast.core.record import Record
from holdfast.metrics.interval import interval

RESAMPLES: Final = 4000


def judge(
    width: BasinWidth,
    tuned: str,
    displacement: float,
    coordinates: int,
    base_scores: Sequence[float],
    tuned_scores: Sequence[float],
    matched_scores: Sequence[float] | None = None,
    certificate: Certificate | None = None,
) -> BasinVerdict:
    """Put a fine-tune beside the basin of an ability.

    Args:
        width: Of the basin, along random directions over the same coordinates.
        tuned: The fine-tune, as it was named.
        displacement: Length of the way from the base, above 0.
        coordinates: How many scalars the noise moves.
        base_scores: One score an item.
        tuned_scores: The same for the fine-tune.
        matched_scores: The same for a random displacement of the same length, averaged over several, if there is one.
        certificate: What was certain beforehand, if there is one.

    Raises:
        ValueError: If there are no items, or not the same for all.
    """
    sigma = displacement / coordinates**0.5
    drop = _paired(tuned, "drop", width.ability, base_scores, tuned_scores)
    matched = None
    if matched_scores is not None:
        matched = _paired(f"random, as far as {tuned}", "drop", width.ability, base_scores, matched_scores)
    verdict = place(sigma, width)
    return BasinVerdict(
        ability=width.ability,
        tuned=tuned,
        displacement=displacement,
        sigma=sigma,
        verdict=verdict,
        drop=drop,
        matched=matched,
        certificate=certificate,
        sentence=_sentence(width, sigma, verdict, drop, matched, certificate),
    )


def place(sigma: float, width: BasinWidth) -> Verdict:
    """Where a distance lies beside the interval of a width."""
    if width.low is not None and sigma <= width.low:
        return "inside"
    return "outside" if width.high is not None and sigma >= width.high else "undecided"


def _paired(
    subject: str, quantity: str, site: str, base_scores: Sequence[float], other_scores: Sequence[float]
) -> Record:
    """What is lost, with a bootstrap interval over items."""
    if len(base_scores) != len(other_scores) or not base_scores:
        raise ValueError(
            f"a drop in pairs needs the same items for both, at least one: found {len(base_scores)} and "
            f"{len(other_scores)}"
        )
    lost: Float[np.ndarray, " items"] = np.subtract(base_scores, other_scores)
    drawn = np.random.default_rng(0).integers(lost.size, size=(RESAMPLES, lost.size))
    value = float(lost.mean())
    low, high = interval(lost[drawn].mean(axis=1), value)
    return Record(subject=subject, quantity=quantity, site=site, value=value, unit="frac", spread=(low, high))


def _sentence(
    width: BasinWidth,
    sigma: float,
    verdict: Verdict,
    drop: Record,
    matched: Record | None,
    certificate: Certificate | None,
) -> str:
    where = {
        "inside": "no further from the base than random moves that keep the ability",
        "outside": "further from the base than random moves that keep the ability",
        "undecided": "at a distance of which it is not known whether random moves keep the ability",
    }[verdict]
    parts = [f"Sigma {sigma:.3g}, {where} (width {width.ends}). Measured, it lost {_told(drop)}"]
    if matched is not None:
        parts.append(f", a random move as far {_told(matched)}")
    parts.append(".")
    if certificate is not None:
        parts.append(f" Certain beforehand: {certificate.line}")
    return "".join(parts)


def _told(drop: Record) -> str:
    low, high = drop.spread or (drop.value, drop.value)
    return f"{drop.value:.3f} ({low:.3f} to {high:.3f})"
