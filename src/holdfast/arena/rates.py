"""Which learning rates are tried, and which one is chosen, on validation items alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from holdfast.core.scores import PointScores, TaskScores


@dataclass(frozen=True)
class Judged:
    """A learning rate as validation sees it.

    Attributes:
        target: Score of every target item.
        weights: Weight of every target item.
        kept: Mean change of the scores to be kept against the base; below 0 is forgetting.
    """

    target: np.ndarray
    weights: np.ndarray
    kept: float

    @property
    def mean(self) -> float:
        """Weighted mean of the target scores."""
        return float(np.average(self.target, weights=self.weights))


def rates_around(centre: float, tries: int, spacing: float) -> tuple[float, ...]:
    """Rates in equal ratios around a centre, ascending; with an even number one more lies below than above."""
    return tuple(_round(centre * spacing ** (i - tries // 2)) for i in range(tries))


def next_rate(tried: Mapping[float, Judged | None], chosen: float, spacing: float) -> float | None:
    """The rate to try next where the chosen one lies at an end of those tried: one further out; else nothing.

    A failed rate at the upper end means that there is nothing to be found further up.
    """
    rates = sorted(tried)
    if chosen == rates[-1]:
        return _round(chosen * spacing)
    return _round(chosen / spacing) if chosen == rates[0] else None


def choose(tried: Mapping[float, Judged | None], rule: str) -> float | None:
    """The rate to be used; nothing if all failed.

    ``target`` takes the best mean target score. ``one_standard_error`` takes, among all rates whose target score is
    within one standard error of the best (paired, item by item), the one that keeps most; the lower rate at a tie.

    Args:
        tried: Rates with what validation says of them; nothing for runs that failed.
        rule: Name of the rule.
    """
    judged = {rate: result for rate, result in sorted(tried.items()) if result is not None}
    if not judged:
        return None
    best = max(judged, key=lambda rate: judged[rate].mean)
    if rule == "target":
        return best
    near = [rate for rate in judged if _within_one_error(judged[rate], judged[best])]
    return max(near, key=lambda rate: judged[rate].kept)


def judged(
    stages: Sequence[PointScores], learned: Sequence[tuple[str, ...]], base: PointScores, keep: tuple[str, ...]
) -> Judged:
    """What validation says of a training, or of several one after the other.

    The target is the mean over the stages of the mean of the tasks learned by then (average anytime accuracy): who has
    learned nothing has no share in it, and who has lost it again only that of the stages before.

    Args:
        stages: Scores after each stage.
        learned: Names of the tasks that were learned in each.
        base: Scores of the base on the same items.
        keep: Names of the tasks to be kept; what counts is what is left of them in the end.
    """
    shares: dict[str, float] = {}
    values: dict[str, Float[np.ndarray, " items"]] = {}
    for at, scores in enumerate(stages, start=1):
        so_far = [task for tasks in learned[:at] for task in tasks]
        # An item is one observation, however many stages ask it: its scores are brought together first.
        share = 1 / (len(stages) * len(so_far))
        for task in so_far:
            shares[task] = shares.get(task, 0.0) + share
            values[task] = values.get(task, 0.0) + share * np.array(_of(scores, task).values)
    end = stages[-1]
    weights = [shares[task] * np.array(_of(end, task).weights) / sum(_of(end, task).weights) for task in shares]
    kept = [_of(end, task).mean - _of(base, task).mean for task in headline(base, keep)]
    return Judged(
        target=np.concatenate([values[task] / shares[task] for task in shares]),
        weights=np.concatenate(weights),
        kept=float(np.mean(kept)),
    )


def headline(scores: PointScores, tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks whose mean is reported: graded ones where there are any, since nats and shares have no common mean."""
    graded = tuple(task for task in tasks if _of(scores, task).unit == "frac")
    return graded or tasks


def _within_one_error(one: Judged, best: Judged) -> bool:
    difference = best.target - one.target
    shares = best.weights / best.weights.sum()
    mean = float((shares * difference).sum())
    # Standard error of a weighted mean of paired differences.
    error = math.sqrt(float((shares**2 * (difference - mean) ** 2).sum()))
    return mean <= error


def _of(scores: PointScores, task: str) -> TaskScores:
    found = scores.of(task)
    assert found is not None, f"every exam of a comparison asks '{task}'"
    return found


def _round(rate: float) -> float:
    """Two significant digits, so that rates can be written down and typed in again."""
    return float(f"{rate:.1e}")
