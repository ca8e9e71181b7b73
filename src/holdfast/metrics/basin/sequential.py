"""Verdicts that may be looked at after every trial and stop as soon as they are decided.

Every test turns trials into evidence: a gamble at fair odds under the hypothesis it speaks against, whose capital
exceeds 1 / error at any time at all with a chance of at most the error (Ville 1939). A trial is one direction, whatever
the number of items asked in it, so that items which share a direction do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import gammaln

from holdfast.core.basin import Verdict
from holdfast.metrics.interval import ROUNDING, check_level

BETS: Final = tuple(2.0**-k for k in range(5))
"""Shares of the largest bet there is among which the capital is divided at the start."""


class SequentialTest(Protocol):
    """Whether the mean of trials in [0, 1] lies above a threshold, or below one."""

    @property
    def label(self) -> str:
        """The test and its threshold, in words."""
        ...

    def evidence(
        self, trials: Float[np.ndarray, "*runs n"]
    ) -> tuple[Float[np.ndarray, "*runs n"], Float[np.ndarray, "*runs n"]]:
        """Logarithms of the capital for "above" and for "below", after every trial."""
        ...


@dataclass(frozen=True)
class Sprt:
    """Wald's test (1945) of a share of successes ``p0`` against ``p1`` above it.

    Where the truth lies between the two it decides either way, by design: "inside" says that the share is above
    ``p0``, "outside" that it is below ``p1``. It stops at log(1 / error), which keeps the error exactly; Wald's own
    boundary, a hair earlier, keeps it roughly.

    Attributes:
        p0: Share that is not enough.
        p1: Share that is enough.
    """

    p0: float = 0.9
    p1: float = 0.99

    def __post_init__(self) -> None:
        if not 0 < self.p0 < self.p1 < 1:
            raise ValueError(f"Wald's test needs 0 < p0 < p1 < 1, found {self.p0} and {self.p1}")

    @property
    def label(self) -> str:
        return f"SPRT of a share of {self.p0:g} against {self.p1:g}"

    def evidence(
        self, trials: Float[np.ndarray, "*runs n"]
    ) -> tuple[Float[np.ndarray, "*runs n"], Float[np.ndarray, "*runs n"]]:
        gain, loss = np.log(self.p1 / self.p0), np.log((1 - self.p1) / (1 - self.p0))
        above = np.cumsum(np.where(_as_bernoulli(trials), gain, loss), axis=-1)
        return above, -above


@dataclass(frozen=True)
class BetaMixture:
    """Whether a share of successes lies above or below ``p0``: the likelihood of all shares at once against that of p0.

    Robbins (1970) with a uniform prior; needs no alternative, and takes longer for it.

    Attributes:
        p0: The share in question.
    """

    p0: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.p0 < 1:
            raise ValueError(f"a share in question lies strictly within 0 and 1, found {self.p0}")

    @property
    def label(self) -> str:
        return f"Beta mixture, share of {self.p0:g}"

    def evidence(
        self, trials: Float[np.ndarray, "*runs n"]
    ) -> tuple[Float[np.ndarray, "*runs n"], Float[np.ndarray, "*runs n"]]:
        successes = np.cumsum(_as_bernoulli(trials), axis=-1)
        n = np.arange(1, successes.shape[-1] + 1)
        failures = n - successes
        both = gammaln(successes + 1) + gammaln(failures + 1) - gammaln(n + 2)
        both = both - successes * np.log(self.p0) - failures * np.log1p(-self.p0)
        # Against a share further off than p0 the evidence is larger still, so that each side keeps the error.
        return np.where(successes > n * self.p0, both, -np.inf), np.where(successes < n * self.p0, both, -np.inf)


@dataclass(frozen=True)
class Betting:
    """Whether the mean of trials in [0, 1] lies above or below a threshold, whatever their distribution.

    The capital is divided among constant bets of several sizes ("diversified Kelly betting", Waudby-Smith and Ramdas,
    "Estimating means of bounded random variables by betting", JRSS B 2024, section 5), so that scores which vary
    little are decided sooner.

    Attributes:
        threshold: The mean in question.
    """

    threshold: float

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"a mean in question lies strictly within 0 and 1, found {self.threshold}")

    @property
    def label(self) -> str:
        return "betting on the mean over directions"

    def evidence(
        self, trials: Float[np.ndarray, "*runs n"]
    ) -> tuple[Float[np.ndarray, "*runs n"], Float[np.ndarray, "*runs n"]]:
        given = _within(trials)
        return _capital(given, self.threshold), _capital(1 - given, 1 - self.threshold)


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Attributes:
        verdict: The verdict.
        trials: After how many trials; all of them, if nothing was decided.
        progress: How far the evidence has come after the last trial: 1 would be enough.
    """

    verdict: Verdict
    trials: int
    progress: float


def decide(test: SequentialTest, trials: Float[np.ndarray, " n"], error: float) -> Decision:
    """The first verdict at which the evidence suffices.

    Args:
        test: The test.
        trials: In the order in which they were made.
        error: Chance of a false "inside", and of a false "outside", at most.

    Returns:
        ``inside`` for a mean above the threshold, ``outside`` below, ``undecided`` if the trials do not suffice.

    Raises:
        ValueError: If there are no trials, one lies outside of [0, 1], or the error is not within 0 and 1.
    """
    evidence = _evidence(test, np.asarray(trials, np.float64), error)
    verdicts, stops = _stopped(*evidence, error)
    latest = max(float(each[-1]) for each in evidence)
    return Decision(verdicts[0], int(stops[0]), latest / -np.log(error))


def decide_all(
    test: SequentialTest, trials: Float[np.ndarray, "runs n"], error: float
) -> tuple[list[Verdict], Int[np.ndarray, " runs"]]:
    """`decide` for many runs at once: the verdicts, and after how many trials each was reached."""
    return _stopped(*_evidence(test, trials, error), error)


def _evidence(
    test: SequentialTest, trials: Float[np.ndarray, "*runs n"], error: float
) -> tuple[Float[np.ndarray, "*runs n"], Float[np.ndarray, "*runs n"]]:
    """The evidence of the test, once there is something to be tested."""
    check_level(1 - error)
    if trials.shape[-1] == 0:
        raise ValueError("nothing to decide: no direction was tried")
    return test.evidence(trials)


def _stopped(
    above: Float[np.ndarray, "*runs n"], below: Float[np.ndarray, "*runs n"], error: float
) -> tuple[list[Verdict], Int[np.ndarray, " runs"]]:
    """The first verdict of every run, and after how many trials it was reached."""
    above, below = np.atleast_2d(above), np.atleast_2d(below)
    bar = -np.log(error) - ROUNDING
    enough = (above >= bar) | (below >= bar)
    decided, first = enough.any(axis=-1), enough.argmax(axis=-1)
    verdicts: list[Verdict] = [
        "undecided" if not found else "inside" if run[at] >= bar else "outside"
        for found, run, at in zip(decided, above, first, strict=True)
    ]
    return verdicts, np.where(decided, first + 1, above.shape[-1])


def _capital(trials: Float[np.ndarray, "*runs n"], threshold: float) -> Float[np.ndarray, "*runs n"]:
    """Logarithm of what became of a capital of 1 that was bet on means above the threshold."""
    excess = trials / threshold - 1
    total = np.full(trials.shape, -np.inf)
    with np.errstate(divide="ignore"):  # all of a bet can be lost
        for bet in BETS:
            total = np.logaddexp(total, np.cumsum(np.log1p(bet * excess), axis=-1))
    found: Float[np.ndarray, "*runs n"] = total - np.log(len(BETS))
    return found


def _within(trials: Float[np.ndarray, "*runs n"]) -> Float[np.ndarray, "*runs n"]:
    given: Float[np.ndarray, "*runs n"] = np.asarray(trials, np.float64)
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"scores lie within 0 and 1, found {given.min()} to {given.max()}")
    return given


def _as_bernoulli(trials: Float[np.ndarray, "*runs n"]) -> Bool[np.ndarray, "*runs n"]:
    given = np.asarray(trials)
    if not ((given == 0) | (given == 1)).all():
        raise ValueError("a test of a share needs trials that are 0 or 1; test a mean with Betting")
    successes: Bool[np.ndarray, "*runs n"] = given == 1
    return successes
