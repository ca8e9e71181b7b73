"""The points of a path from a base to a finished model, scored on the same items: what a choice is made among."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Final, Self

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from holdfast.core.errors import NotMeasurable
from holdfast.core.scores import TaskScores, Unit
from holdfast.metrics.operating_point.utility import Part, Utility
from holdfast.metrics.tradeoff import BASE, Benchmark, UnusableScores

TARGET: Final = "(target)"
"""Name of the target among benchmarks, written so that no kept task has it."""

STEP_SLACK: Final = 1e-6
"""How far a relative step may miss 0 at the base, or 1 at the end, by rounding."""


@dataclass(frozen=True, eq=False)
class ItemScores:
    """Scores on the items of one task; higher is better in every unit.

    Attributes:
        values: One score an item.
        weights: Weight of each item in the mean: 1 for a graded answer, its tokens for a text.
        unit: ``frac`` for graded answers, ``nats/token`` for minus the loss of a text.
        ids: Which items they are, where that is known; then it is checked that all candidates have the same.
    """

    values: Float[np.ndarray, " items"]
    weights: Float[np.ndarray, " items"]
    unit: Unit = "frac"
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values))
        object.__setattr__(self, "weights", _frozen(self.weights))

    @classmethod
    def of(cls, scores: TaskScores) -> Self:
        """The same of what an evaluation returned."""
        return cls(np.array(scores.values), np.array(scores.weights), scores.unit, scores.ids)

    def only(self, items: Int[np.ndarray, " some"]) -> ItemScores:
        """The scores of some of the items."""
        ids = None if self.ids is None else tuple(self.ids[item] for item in items)
        return replace(self, values=self.values[items], weights=self.weights[items], ids=ids)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A point of a path, as validation sees it.

    Attributes:
        t: Where on the path: 0 at the base, 1 at the finished model.
        step_frac: How far from the base it is, as a share of the whole way: ||dW(t)|| / ||dW(1)||.
        target: Scores on what was to be learned.
        kept: Task -> scores on what ought to stay; empty if nobody looked.
        kl_nats: KL(base || point) in nats a token of general text, where it was measured.
    """

    t: float
    step_frac: float
    target: ItemScores
    kept: Mapping[str, ItemScores]
    kl_nats: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", MappingProxyType(dict(self.kept)))


@dataclass(frozen=True, eq=False)
class Curve:
    """All candidates of one path, base first, once it is certain that they can be compared item by item.

    Attributes:
        candidates: In ascending t, whatever order they were given in.

    Raises:
        UnusableScores: If base or end is missing, a t or a step is impossible, or the items differ.
    """

    candidates: tuple[Candidate, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", tuple(sorted(self.candidates, key=lambda each: each.t)))
        if faults := [*_misplaced(self.candidates), *_mismatched(self.candidates)]:
            raise UnusableScores(f"candidates along a path: {'; '.join(faults)}")

    @classmethod
    def through(cls, candidates: Iterable[Candidate]) -> Self:
        """The curve through some candidates, in whatever order they come."""
        return cls(tuple(candidates))

    @cached_property
    def by_step(self) -> tuple[int, ...]:
        """Places of the candidates, the smallest step first; of equal steps the smaller t."""
        return tuple(sorted(range(len(self.candidates)), key=lambda i: (self.candidates[i].step_frac, i)))

    @cached_property
    def headline(self) -> tuple[str, ...]:
        """The kept tasks whose mean is forgetting: graded ones where there are any, as nats and shares do not add."""
        kept = self.candidates[0].kept
        return tuple(task for task in kept if kept[task].unit == "frac") or tuple(kept)

    @cached_property
    def tables(self) -> Mapping[str, tuple[ItemScores, ...]]:
        """Scores of all candidates on the target, and then on every headline task."""
        each = self.candidates
        return {TARGET: tuple(one.target for one in each)} | {
            task: tuple(one.kept[task] for one in each) for task in self.headline
        }

    @cached_property
    def gain(self) -> Utility:
        """Mean target score above the base's."""
        return Utility((self._part(TARGET, 1.0),))

    @cached_property
    def forgetting(self) -> Utility:
        """Mean score on what is kept below the base's, every headline task of equal weight; positive is worse.

        Raises:
            NotMeasurable: If nothing was kept an eye on.
        """
        if not self.headline:
            raise NotMeasurable("undefined: forgetting needs scores on a task to be kept, and the candidates have none")
        return Utility(tuple(self._part(task, -1 / len(self.headline)) for task in self.headline))

    def benchmarks(self, places: Iterable[int]) -> list[Benchmark]:
        """Target and headline tasks with some candidates as entrants against the base, for a paired bootstrap."""
        entrants = [place for place in places if place > 0]
        return [
            Benchmark(
                name,
                "learn" if name == TARGET else "keep",
                scores[0].values,
                {self.label(place): scores[place].values[np.newaxis] for place in entrants},
                scores[0].weights,
            )
            for name, scores in self.tables.items()
        ]

    def label(self, place: int) -> str:
        """Name of a candidate as an entrant."""
        return BASE if place == 0 else f"t = {self.candidates[place].t!r}"

    def _part(self, name: str, factor: float) -> Part:
        scores = self.tables[name]
        values = np.stack([each.values for each in scores])
        shares = scores[0].weights / scores[0].weights.sum()
        return Part(name, factor, shares, values, graded=scores[0].unit == "frac")


def combine(tasks: Sequence[TaskScores]) -> ItemScores:
    """The scores of several target tasks as one, every task of equal weight whatever its number of items.

    Args:
        tasks: At least one; all of one unit.

    Returns:
        All items in a row; each is known by its task and its own id.

    Raises:
        UnusableScores: If there is no task, or shares and nats would be mixed.
    """
    units = sorted({task.unit for task in tasks})
    if len(units) != 1:
        found = " and ".join(units) or "no task"
        raise UnusableScores(f"a target is made of tasks of one unit, found {found}; choose by one of them")
    return ItemScores(
        np.concatenate([np.array(task.values) for task in tasks]),
        np.concatenate([np.array(task.weights) / sum(task.weights) for task in tasks]),
        tasks[0].unit,
        tuple(f"{task.task}/{item}" for task in tasks for item in task.ids),
    )


def _misplaced(candidates: Sequence[Candidate]) -> list[str]:
    """What is wrong with where the candidates lie."""
    places = [each.t for each in candidates]
    if not places or places[0] != 0 or places[-1] != 1:
        return [
            "the base (t = 0) and the finished model (t = 1) are always among them, "
            f"found t = {', '.join(f'{t:g}' for t in places) or 'nothing'}; evaluate both"
        ]
    faults = [
        f"t = {t:g} is there twice; give each point once" for t in sorted({t for t in places if places.count(t) > 1})
    ]
    for each in candidates:
        expected = each.t if each.t in (0, 1) else min(max(each.step_frac, 0.0), 1.0)
        if not abs(each.step_frac - expected) <= STEP_SLACK:
            faults.append(
                "the relative step is 0 at the base, 1 at the end, and between them on the way, found "
                f"{each.step_frac:g} at t = {each.t:g}; leave out what lies farther from the base than the end does"
            )
        if each.kl_nats is not None and not np.isfinite(each.kl_nats):
            faults.append(f"KL at t = {each.t:g} is not finite")
    return faults


def _mismatched(candidates: Sequence[Candidate]) -> list[str]:
    """What keeps the scores from being compared item by item."""
    if not candidates:
        return []
    faults = []
    first = candidates[0]
    for each in candidates:
        if missing := sorted(set(first.kept) ^ set(each.kept)):
            faults.append(f"'{', '.join(missing)}' is not scored at every point; t = {each.t:g} differs from the base")
        shared = {TARGET: (first.target, each.target)} | {
            k: (first.kept[k], each.kept[k]) for k in first.kept if k in each.kept
        }
        faults += [f"{name} at t = {each.t:g}: {why}" for name, (a, b) in shared.items() if (why := _differs(a, b))]
    return faults


def _differs(base: ItemScores, point: ItemScores) -> str | None:
    """Why the scores of a point cannot be paired with the base's."""
    if point.values.ndim != 1 or point.values.size == 0 or point.values.shape != point.weights.shape:
        return f"one score and one weight an item, found shapes {point.values.shape} and {point.weights.shape}"
    if not np.isfinite(point.values).all():
        return "some scores are not finite"
    if not (np.isfinite(point.weights).all() and (point.weights > 0).all()):
        return "weights must be finite and above 0"
    if point.unit != base.unit:
        return f"the unit is {point.unit}, and that of the base is {base.unit}"
    if point.values.shape != base.values.shape or point.ids != base.ids:
        return "the items are not those of the base; ask all points the same items in the same order"
    if not np.array_equal(point.weights, base.weights):
        return "the weights of the items are not those of the base"
    return None


def _frozen(values: ArrayLike) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
