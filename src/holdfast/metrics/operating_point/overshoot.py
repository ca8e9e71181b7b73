"""Whether a finished model went too far: whether a point before it is as good on the target and has forgotten less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import Resamples, resample
from holdfast.metrics.interval import ROUNDING, Interval, check_level
from holdfast.metrics.operating_point.candidates import Candidate, Curve
from holdfast.metrics.operating_point.choice import WORTH
from holdfast.metrics.operating_point.finding import Finding
from holdfast.metrics.operating_point.rules import FEWEST_ITEMS
from holdfast.metrics.tradeoff import FORGETTING, GAIN

Verdict = Literal["yes", "no", "undecided"]


@dataclass(frozen=True)
class Earlier:
    """A point before the end, against the end.

    Attributes:
        t: Where it lies.
        step_frac: How far from the base.
        lead: Its target score minus the final one's.
        recovered: Final forgetting minus its own.
        as_good: Whether its target score is surely not worse than the final one's by more than the margin.
        worse: Whether it surely is.
        kept_more: Whether it has surely forgotten less.
        kept_no_more: Whether what it has forgotten less is surely not worth it.
    """

    t: float
    step_frac: float
    lead: Finding
    recovered: Finding
    as_good: bool
    worse: bool
    kept_more: bool
    kept_no_more: bool


@dataclass(frozen=True)
class Overshoot:
    """What can be said of the end of a path, all its other points looked at.

    Attributes:
        verdict: ``yes`` if a point is surely as good on the target and has surely forgotten less; ``no`` if every
            point is surely worse on the target, or surely undoes too little to be worth it; otherwise ``undecided``.
        sentence: The same with numbers.
        margin: By how much a target score may be below the final one's and count as good.
        worth: The smallest amount of forgetting that matters.
        level: With which all intervals hold together.
        errors: Half the width of the intervals in standard errors; a single interval of that level has 1.96.
        points: All points before the end.
        witness: Of the points that show an overshoot the one that surely recovers most.
    """

    verdict: Verdict
    sentence: str
    margin: float
    worth: float
    level: float
    errors: float
    points: tuple[Earlier, ...]
    witness: Earlier | None


def find_overshoot(
    candidates: Iterable[Candidate],
    *,
    margin: float = WORTH,
    worth: float = WORTH,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Overshoot:
    """Say whether the finished model overshot, with intervals that hold for all points at once.

    The largest deviation of any of the differences from its estimate, in standard errors, is taken in every resample;
    its quantile, in standard errors, is the half width of all intervals (the bootstrap's maximum, Westfall and Young
    1993), which for graded answers are widened as Wilson's are (`Utility.half_width`): a bootstrap of answers that
    hardly differ is too sure of them. So looking at many points does not find an overshoot by chance more often than
    the level allows.

    Args:
        candidates: As in `choice.choose`. The base is one of the points: where it is as good, the update was no use.
        margin: By how much a target score may be below the final one's and count as good, above 0, in its unit.
        worth: The smallest amount of forgetting that matters, in its unit: where less is undone, ``no`` may be said.
        level: Chance, at the least, that everything said of all points is true.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        The statement.

    Raises:
        NotMeasurable: If nothing was kept an eye on, or a task has too few items.
        ValueError: If the margin is not above 0: equal scores could never be told from worse ones.
    """
    check_level(level)
    if not margin > 0:
        raise ValueError(f"a margin is above 0, such as 0.02, found {margin}; equality cannot be shown")
    curve = Curve.through(candidates)
    end = len(curve.candidates) - 1
    _refuse_few(curve)
    drawn = resample(curve.benchmarks(range(1, end + 1)), resamples, seed)
    leads = [_deviations(drawn, curve.label(i), curve.label(end), GAIN) for i in range(end)]
    recoveries = [_deviations(drawn, curve.label(end), curve.label(i), FORGETTING) for i in range(end)]
    errors = _simultaneous(np.stack([*leads, *recoveries]), level)
    points = tuple(
        _earlier(
            each,
            _band(curve.gain.lead(i, end)[0], curve.gain.half_width(i, end, errors)),
            _band(curve.forgetting.lead(end, i)[0], curve.forgetting.half_width(i, end, errors)),
            margin,
            worth,
        )
        for i, each in enumerate(curve.candidates[:end])
    )
    witnesses = [point for point in points if point.as_good and point.kept_more]
    witness = max(witnesses, key=lambda point: _low(point.recovered), default=None)
    verdict: Verdict = "undecided"
    if witness is not None:
        verdict = "yes"
    elif all(point.worse or point.kept_no_more for point in points):
        verdict = "no"
    return Overshoot(
        verdict,
        _sentence(verdict, witness, points, margin, worth, level),
        margin,
        worth,
        level,
        errors,
        points,
        witness,
    )


def _refuse_few(curve: Curve) -> None:
    parts = (*curve.gain.parts, *curve.forgetting.parts)
    if few := [f"{part.name} has {part.shares.size}" for part in parts if part.shares.size < FEWEST_ITEMS]:
        raise NotMeasurable(
            f"undefined: an overshoot is looked for with at least {FEWEST_ITEMS} items of every task: {', '.join(few)}"
        )


def _deviations(drawn: Resamples, one: str, other: str, quantity: str) -> Float[np.ndarray, " resamples"]:
    """How far one minus other is in every resample from what it is in the data."""
    value = drawn.estimate(one, quantity) - drawn.estimate(other, quantity)
    deviations: Float[np.ndarray, " resamples"] = drawn.draws(one, quantity) - drawn.draws(other, quantity) - value
    return deviations


def _simultaneous(deviations: Float[np.ndarray, "differences resamples"], level: float) -> float:
    """The multiple of their standard errors that all differences stay within, in a share ``level`` of the resamples."""
    single = NormalDist().inv_cdf((1 + level) / 2)
    errors = deviations.std(axis=1)
    noisy = errors > ROUNDING
    if not noisy.any():
        return single
    largest = (np.abs(deviations[noisy]) / errors[noisy, np.newaxis]).max(axis=0)
    return max(single, float(np.quantile(largest, level)))


def _band(value: float, half: float) -> Finding:
    return Finding(value, Interval(value - half, value + half))


def _earlier(each: Candidate, lead: Finding, recovered: Finding, margin: float, worth: float) -> Earlier:
    return Earlier(
        t=each.t,
        step_frac=each.step_frac,
        lead=lead,
        recovered=recovered,
        as_good=_low(lead) >= -margin,
        worse=_high(lead) < -margin,
        kept_more=_low(recovered) > ROUNDING,
        kept_no_more=_high(recovered) < worth,
    )


def _sentence(
    verdict: Verdict, witness: Earlier | None, points: tuple[Earlier, ...], margin: float, worth: float, level: float
) -> str:
    count = f"all {len(points)} points together" if len(points) > 1 else "the only point before the end"
    together = f"({level:.0%} intervals that hold for {count})"
    if witness is not None:
        where = f"at t = {witness.t:g}" if witness.t > 0 else "even at the base"
        return (
            f"the finished model overshot: {where} the target score is within {margin:g} of the final one or above, "
            f"{_signed(witness.lead)}, and {_signed(witness.recovered)} of forgetting is undone {together}"
        )
    if verdict == "no":
        return (
            "the finished model did not overshoot: every point before it is below the final target score by more than "
            f"{margin:g}, or undoes less than {worth:g} of forgetting {together}"
        )
    closest = max(points, key=lambda point: min(_low(point.lead) + margin, _low(point.recovered)))
    return (
        f"undecided: the clearest point, t = {closest.t:g}, differs from the final target score by "
        f"{_signed(closest.lead)}, where {-margin:g} is allowed, and undoes {_signed(closest.recovered)} of forgetting "
        f"{together}; more items would tell"
    )


def _signed(finding: Finding) -> str:
    return f"{finding.value:+.4f} [{_low(finding):+.4f}, {_high(finding):+.4f}]"


def _low(finding: Finding) -> float:
    assert finding.spread is not None, "a band has ends"
    return finding.spread.low


def _high(finding: Finding) -> float:
    assert finding.spread is not None, "a band has ends"
    return finding.spread.high
