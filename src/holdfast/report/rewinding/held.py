"""Points held against the base, item by item, from whichever path they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float

from holdfast.core.scores import PointScores, Unit
from holdfast.metrics.bootstrap import Resamples, resample
from holdfast.metrics.operating_point.finding import Finding, find_difference, find_share
from holdfast.metrics.tradeoff import BASE, FORGETTING, GAIN, Benchmark, Role, score

LEVEL: Final = 0.95
"""Of all intervals."""

RESAMPLES: Final = 10_000

Items = Mapping[str, Float[np.ndarray, " items"]]
"""Task -> score on each of its items, in the same order for every point."""


@dataclass(frozen=True)
class Standing:
    """Where a point stands.

    Attributes:
        target: Mean score on what was to be learned.
        kept: Mean score on what was to be kept; absent where nothing was.
        gain: Target score minus the base's.
        forgetting: The base's kept score minus this one.
        scores: Task -> mean score.
        changes: Task -> mean score minus the base's.
    """

    target: float
    kept: float | None
    gain: Finding
    forgetting: Finding
    scores: Mapping[str, float]
    changes: Mapping[str, Finding]


class Held:
    """Points and the base on the same items; every difference comes from the same resamples of these.

    Args:
        learn: Tasks that were to be learned.
        keep: Tasks that were to be kept.
        base: Scores of the base.
        points: Label -> scores of a point on each item.
    """

    def __init__(self, learn: Sequence[str], keep: Sequence[str], base: PointScores, points: Mapping[str, Items]):
        self.learn, self.keep = tuple(learn), tuple(keep)
        self.units: Mapping[str, Unit] = MappingProxyType({each.task: each.unit for each in base.tasks})
        roles: dict[str, Role] = {**dict.fromkeys(keep, "keep"), **dict.fromkeys(learn, "learn")}
        self._benchmarks = tuple(
            Benchmark(
                each.task,
                roles[each.task],
                np.array(each.values),
                {label: items[each.task][np.newaxis] for label, items in points.items()},
                np.array(each.weights),
            )
            for each in base.tasks
            if each.task in roles
        )

    @cached_property
    def headline(self) -> tuple[str, ...]:
        """The kept tasks whose mean is forgetting: graded ones where there are any, as nats and shares do not add."""
        return tuple(task for task in self.keep if self.units[task] == "frac") or self.keep

    @property
    def target_unit(self) -> Unit:
        """Unit of the target score."""
        return self.units[self.learn[0]]

    @property
    def kept_unit(self) -> Unit:
        """Unit of the kept score."""
        return self.units[self.headline[0]] if self.headline else "frac"

    def count(self, tasks: Sequence[str]) -> int:
        """How many items some tasks have."""
        return sum(each.base.size for each in self._benchmarks if each.name in tasks)

    def standing(self, label: str) -> Standing:
        """Where a point stands, or the base under its name."""
        means = {each.name: score([each], label, each.role) for each in self._benchmarks}
        return Standing(
            target=score(self._drawn.benchmarks, label, "learn"),
            kept=score(self._drawn.benchmarks, label, "keep") if self.headline else None,
            gain=self.lead(label, BASE),
            forgetting=self.lost(label, BASE),
            scores=means,
            changes={task: find_difference(self._all, label, BASE, task, LEVEL) for task in means},
        )

    def lead(self, one: str, other: str) -> Finding:
        """Target score of one point minus that of another."""
        return find_difference(self._drawn, one, other, GAIN, LEVEL)

    def lost(self, one: str, other: str) -> Finding:
        """Forgetting of one point minus that of another."""
        return find_difference(self._drawn, one, other, FORGETTING, LEVEL)

    def gain_share(self, part: str, whole: str) -> Finding:
        """Gain of one point as a share of that of another."""
        return find_share(self._drawn, part, whole, GAIN, LEVEL)

    @cached_property
    def _all(self) -> Resamples:
        return resample(self._benchmarks, RESAMPLES)

    @cached_property
    def _drawn(self) -> Resamples:
        """The same draws, of what makes up gain and forgetting alone."""
        counted = {*self.learn, *self.headline}
        return replace(self._all, benchmarks=tuple(each for each in self._benchmarks if each.name in counted))


def items_of(scores: PointScores) -> Items:
    """The scores of a point on each item."""
    return {each.task: np.array(each.values) for each in scores.tasks}


def mixed(one: Items, other: Items, share: float) -> Items:
    """Scores part-way between two points: item by item, on the straight line."""
    return {task: (1 - share) * one[task] + share * other[task] for task in one}
