"""What a displaced model must keep of the score it has under Gaussian noise.

Let g be the mean of a score in [0, 1] under noise N(0, sigma^2 I) on the parameters. Whatever the score is, Phi^-1(g)
changes by at most 1 a sigma of displacement (Cohen et al. 2019; Salman et al. 2019, lemma 2), which is met with
equality by a half-space. So g after a displacement of r sigmas is at least Phi(Phi^-1(g) - r): the strong bound. Its
steepest slope alone gives the weak one. The score may be an indicator, such as "a whole benchmark is answered at least
so well": then g is a share of directions, and one direction is one trial.
"""

from __future__ import annotations

from math import isfinite, pi, sqrt
from typing import Final

from scipy.special import ndtr, ndtri

from holdfast.core.errors import NotMeasurable, UnknownName

FORMS: Final = ("strong", "weak")
REFUSED: Final = {
    "lipschitz": "a statement from a Lipschitz constant of the score itself is refused: a greedy 0-1 score jumps, so "
    "that it has no finite one; use 'strong', on the share of directions that score enough",
    "token": "a bound for substituted tokens from noise on weights is refused: it has a counterexample with two words; "
    "smooth the input embeddings, and use 'strong' on their displacement",
}


def bound(p: float, sigmas: float, form: str = "strong") -> float:
    """What is surely left of a smoothed score after a displacement.

    Args:
        p: The smoothed score before: a lower confidence limit of it, if the result is to be called certain.
        sigmas: Length of the displacement in sigmas (`distance`).
        form: ``strong``; or ``weak``, which is linear in the displacement and never above it.

    Returns:
        The least score afterwards; the weak form may lie below 0, where it says nothing.

    Raises:
        NotMeasurable: If a form is asked for that is no theorem for scores of answers.
        UnknownName: If there is no such form.
    """
    if form == "strong":
        return strong_bound(p, sigmas)
    if form == "weak":
        return weak_bound(p, sigmas)
    if form in REFUSED:
        raise NotMeasurable(REFUSED[form])
    raise UnknownName("bound", form, FORMS)


def strong_bound(p: float, sigmas: float) -> float:
    """Phi(Phi^-1(p) - sigmas), in the limit 0 at p = 0 and 1 at p = 1."""
    _check(p, sigmas)
    return float(ndtr(ndtri(p) - sigmas))


def weak_bound(p: float, sigmas: float) -> float:
    """P - sigmas / sqrt(2 pi)."""
    _check(p, sigmas)
    return p - sigmas / sqrt(2 * pi)


def radius_sigmas(p: float, keep: float) -> float:
    """Length in sigmas of the longest displacement after which a smoothed score of p is surely at least ``keep``.

    Args:
        p: The smoothed score before, or a lower confidence limit of it.
        keep: What is to be kept, strictly within 0 and 1.

    Returns:
        Phi^-1(p) - Phi^-1(keep), above 0; infinite at p = 1.

    Raises:
        ValueError: If ``keep`` is not within 0 and 1.
        NotMeasurable: If no displacement keeps it.
    """
    _check(p, 0.0)
    if not 0 < keep < 1:
        raise ValueError(f"what is to be kept lies strictly within 0 and 1, such as 0.5, found {keep}")
    if p <= keep:
        raise NotMeasurable(f"no radius: no more than {p:.4g} is certain before any move, and {keep:.4g} is to be kept")
    return float(ndtri(p) - ndtri(keep))


def _check(p: float, sigmas: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"a smoothed score lies within 0 and 1, found {p}")
    if not (isfinite(sigmas) and sigmas >= 0):
        raise ValueError(f"a displacement is a finite length of at least 0 sigmas, found {sigmas}")
