"""Choosing the point of a path at which to stop, and saying what that gains, gives back, and leaves open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from holdfast.metrics.bootstrap import Resamples, paired_interval, resample
from holdfast.metrics.interval import Interval, check_level
from holdfast.metrics.operating_point.candidates import Candidate, Curve
from holdfast.metrics.operating_point.finding import Finding, find_difference, find_share
from holdfast.metrics.operating_point.rules import FEWEST_ITEMS, OneStandardError, Rule
from holdfast.metrics.operating_point.utility import best
from holdfast.metrics.significance import proportion_interval
from holdfast.metrics.tradeoff import BASE, FORGETTING, GAIN

WORTH: Final = 0.05
"""The smallest difference in target score that matters, unless another is stated."""

NO_HELP: Final = "this update does not help"
NO_OVERSHOOT: Final = "do not rewind: no overshoot found"


@dataclass(frozen=True)
class Choice:
    """The chosen point and what the items that chose it say of it; `crossfit` has what other items would say.

    Attributes:
        candidate: The chosen point.
        rule: The rule, as it is written.
        verdict: In words: rewind, do not rewind, or no help.
        gain: Target score at the chosen point, minus the base's.
        final_gain: The same at the end of the path.
        gain_kept: Gain as a share of the final gain.
        lead: Target score at the chosen point, minus the final one's.
        forgetting: Score on what is kept of the base, minus that at the chosen point.
        final_forgetting: The same at the end of the path.
        recovered: Final forgetting minus forgetting.
        recovered_share: The same as a share of the final forgetting.
        items: How many target items chose.
        too_few: Why the items do not suffice to decide; absent if they do.
    """

    candidate: Candidate
    rule: str
    verdict: str
    gain: Finding
    final_gain: Finding
    gain_kept: Finding
    lead: Finding
    forgetting: Finding
    final_forgetting: Finding
    recovered: Finding
    recovered_share: Finding
    items: int
    too_few: str | None

    @property
    def enough(self) -> bool:
        """Whether there are items enough to decide."""
        return self.too_few is None


def choose(
    candidates: Iterable[Candidate],
    rule: Rule | None = None,
    *,
    worth: float = WORTH,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Choice:
    """Choose a point by a rule, and hold it against the base and the end of the path.

    All intervals are over items, paired, for points as they were chosen: they do not count that the same items chose.

    Args:
        candidates: Points of one path with scores on validation items; base and end are among them.
        rule: `OneStandardError` if nothing else is asked for.
        worth: The smallest difference in target score that matters, in its unit. An interval wider than both this and
            the best gain is too wide to decide.
        level: Of the intervals.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        The choice.

    Raises:
        UnusableScores: If the candidates cannot be compared.
        NotMeasurable: If they lack what the rule goes by.
    """
    check_level(level)
    rule = rule or OneStandardError()
    curve = Curve.through(candidates)
    place, top, end = rule.pick(curve), best(curve.gain, curve.by_step), len(curve.candidates) - 1
    drawn = resample(curve.benchmarks(sorted({place, top, end})), resamples, seed)
    chosen, final = curve.label(place), curve.label(end)
    lead = find_difference(drawn, chosen, final, GAIN, level)
    recovered = find_difference(drawn, final, chosen, FORGETTING, level)
    lost = find_difference(drawn, final, BASE, FORGETTING, level)
    return Choice(
        candidate=curve.candidates[place],
        rule=rule.spec,
        verdict=_verdict(curve, place, rule, find_difference(drawn, curve.label(top), BASE, GAIN, level)),
        gain=find_difference(drawn, chosen, BASE, GAIN, level),
        final_gain=find_difference(drawn, final, BASE, GAIN, level),
        gain_kept=find_share(drawn, chosen, final, GAIN, level),
        lead=lead,
        forgetting=find_difference(drawn, chosen, BASE, FORGETTING, level),
        final_forgetting=lost,
        recovered=recovered,
        recovered_share=_one_minus(find_share(drawn, chosen, final, FORGETTING, level)),
        items=curve.candidates[0].target.values.size,
        too_few=_too_few(curve, place, drawn, worth, level),
    )


def _verdict(curve: Curve, place: int, rule: Rule, best_gain: Finding) -> str:
    if place == len(curve.candidates) - 1:
        return NO_OVERSHOOT
    if place > 0:
        return f"rewind to {curve.candidates[place].t:g}"
    if best_gain.spread is not None and best_gain.spread.excludes_zero:
        return f"this update gains, but no point of it is better than the base under {rule.spec}"
    return NO_HELP


def _too_few(curve: Curve, place: int, drawn: Resamples, worth: float, level: float) -> str | None:
    """What the items leave open between the chosen point and the end of the path, or the base if that is the end."""
    target, end = curve.candidates[0].target, len(curve.candidates) - 1
    items, most = target.values.size, float(curve.gain.values.max())
    rival, named = (0, "the base") if place == end else (end, "the finished model")
    between = paired_interval(drawn, curve.label(place), curve.label(rival), GAIN, level)
    low, high = between.spread
    if target.unit == "frac":
        # Where hardly an item differs a bootstrap is too sure: some that were not seen may.
        unseen_frac = proportion_interval(0, items, level).high
        low, high = min(low, between.value - unseen_frac), max(high, between.value + unseen_frac)
    left_open = (
        f"with {items} target item{'s' if items > 1 else ''} the chosen point differs from {named} by "
        f"{between.value:+.4f}, {level:.0%} interval [{low:+.4f}, {high:+.4f}]"
    )
    if items < FEWEST_ITEMS:
        return f"too few items to decide: {left_open}; give at least {FEWEST_ITEMS}"
    if high - low > max(most, worth):
        return f"too few items to decide: {left_open}, wide beside the best gain of {most:+.4f}; give more items"
    return None


def _one_minus(share: Finding) -> Finding:
    """What is left of a whole when a share of it is taken."""
    if share.value is None or share.spread is None:
        return Finding(None if share.value is None else 1 - share.value, None, share.reason)
    return Finding(1 - share.value, Interval(1 - share.spread.high, 1 - share.spread.low))
