"""What a rule yields on items that had no part in the choice, and how much the best point flatters those that had.

Half of the items chooses, the other half scores the choice, both ways, for several splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import integrate, stats

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import resample
from holdfast.metrics.operating_point.candidates import TARGET, Candidate, Curve
from holdfast.metrics.operating_point.finding import Finding, find_difference
from holdfast.metrics.operating_point.rules import OneStandardError, Rule
from holdfast.metrics.tradeoff import BASE, FORGETTING, GAIN

FEWEST_TO_SPLIT: Final = 4
"""Two items on each side, since a standard error needs two."""

UNSEEN: Final = "chosen on other items"
FINAL: Final = "final"


@dataclass(frozen=True)
class CrossFit:
    """What a rule yields on unseen items, when half of the items chooses.

    Attributes:
        rule: The rule, as it is written.
        seeds: Of the splits, as asked for.
        chosen: For each seed, t as chosen by the one half and by the other.
        gain: Target score at the points chosen by other items, minus the base's.
        lead: The same minus the final one's.
        forgetting: Score on what is kept of the base, minus that at the points chosen by other items.
        recovered: Final forgetting minus that.
    """

    rule: str
    seeds: tuple[int, ...]
    chosen: tuple[tuple[float, float], ...]
    gain: Finding
    lead: Finding
    forgetting: Finding
    recovered: Finding


def cross_fit(
    candidates: Iterable[Candidate],
    rule: Rule | None = None,
    *,
    seeds: Sequence[int] = range(5),
    level: float = 0.95,
    resamples: int = 10_000,
) -> CrossFit:
    """Choose on half of the items, score on the other half, both ways, for every seed.

    Every item is scored at the points that were chosen without it, in the mean over seeds, so that each counts once in
    the estimates. Their intervals are over items, for the choices as they were made. A half is noisier than the whole:
    this is what the rule yields with half as many items, on the safe side of what it yields with all.

    Args:
        candidates: As in `choice.choose`. What is kept is split too; KL, which has no items here, is not.
        rule: `OneStandardError` if nothing else is asked for.
        seeds: One split each.
        level: Of the intervals.
        resamples: Of the bootstrap.

    Returns:
        The estimates.

    Raises:
        NotMeasurable: If a task has too few items to split, or the candidates lack what the rule goes by.
        ValueError: If there is no seed.
    """
    if not seeds:
        raise ValueError("a cross-fit needs at least one seed, found none")
    rule, curve = rule or OneStandardError(), Curve.through(candidates)
    sizes = {name: scores[0].values.size for name, scores in curve.tables.items()}
    if few := [f"{name} has {items}" for name, items in sizes.items() if items < FEWEST_TO_SPLIT]:
        raise NotMeasurable(
            f"undefined: a cross-fit needs at least {FEWEST_TO_SPLIT} items of every task: {', '.join(few)}"
        )
    unseen = {name: np.zeros(items) for name, items in sizes.items()}
    chosen = []
    for seed in seeds:
        halves = {name: _halves(items, seed, task) for task, (name, items) in enumerate(sizes.items())}
        places = [rule.pick(_half(curve, {name: sides[own] for name, sides in halves.items()})) for own in (0, 1)]
        for name, sides in halves.items():
            for own, place in enumerate(places):
                others = sides[1 - own]
                unseen[name][others] += curve.tables[name][place].values[others] / len(seeds)
        chosen.append((curve.candidates[places[0]].t, curve.candidates[places[1]].t))
    data = [
        replace(each, entrants={UNSEEN: unseen[each.name][None], FINAL: curve.tables[each.name][-1].values[None]})
        for each in curve.benchmarks(())
    ]
    drawn = resample(data, resamples)
    return CrossFit(
        rule=rule.spec,
        seeds=tuple(seeds),
        chosen=tuple(chosen),
        gain=find_difference(drawn, UNSEEN, BASE, GAIN, level),
        lead=find_difference(drawn, UNSEEN, FINAL, GAIN, level),
        forgetting=find_difference(drawn, UNSEEN, BASE, FORGETTING, level),
        recovered=find_difference(drawn, FINAL, UNSEEN, FORGETTING, level),
    )


def expected_best(points: int) -> float:
    """By how many standard errors the best of equally good points looks better than it is, in expectation.

    The expected maximum of independent standard normals, 1.59 for 11 points. Points of one path share items and noise,
    so this is what the best of them is flattered by at most, in standard errors of one point's own noise.

    Args:
        points: How many are looked at.

    Returns:
        Standard errors.

    Raises:
        ValueError: If there is no point.
    """
    if points < 1:
        raise ValueError(f"the best of {points} points is nothing, give at least 1")

    def density(x: float) -> float:
        return float(x * points * stats.norm.pdf(x) * stats.norm.cdf(x) ** (points - 1))

    return float(integrate.quad(density, -12.0, 12.0)[0])


def _halves(items: int, seed: int, task: int) -> tuple[np.ndarray, np.ndarray]:
    """The items of a task in two halves at random; of an odd number either half may have one more."""
    generator = np.random.default_rng([seed, task])
    order = generator.permutation(items)
    middle = items // 2 + (items % 2) * int(generator.integers(2))
    return np.sort(order[:middle]), np.sort(order[middle:])


def _half(curve: Curve, items: Mapping[str, np.ndarray]) -> Curve:
    """The same candidates, scored on some of the items alone."""
    return Curve(
        tuple(
            replace(
                each,
                target=each.target.only(items[TARGET]),
                kept={task: each.kept[task].only(items[task]) for task in curve.headline},
            )
            for each in curve.candidates
        )
    )
