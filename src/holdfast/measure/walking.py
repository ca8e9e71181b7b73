"""Scores along a path: one model in memory, brought from point to point, asked the same items at each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from torch import nn
from transformers import PreTrainedModel

from holdfast.core.rewinding import Walk, WalkPoint
from holdfast.core.scores import PointScores
from holdfast.core.task import Split, Task
from holdfast.measure.evaluate import evaluate
from holdfast.measure.gradebook import Ask, Gradebook
from holdfast.measure.skipping import Skipping
from holdfast.metrics.operating_point.candidates import STEP_SLACK, Candidate, Curve, ItemScores, combine
from holdfast.metrics.operating_point.refinement import next_point
from holdfast.metrics.operating_point.rules import OneStandardError, Rule
from holdfast.metrics.operating_point.utility import best
from holdfast.models.base import Base
from holdfast.weights.path import Bring, Walkable
from holdfast.weights.paths.checkpoints import CheckpointPath
from holdfast.weights.paths.levelled import Levelled
from holdfast.weights.paths.step import steps_along

COARSE = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where a search looks first."""

Tick = Callable[[str, float, int], None]
"""Told the path, the point that is scored now, and how many items of it are done."""


@dataclass(frozen=True)
class Search:
    """How a path is searched.

    Attributes:
        rule: By which a point is chosen.
        first: Points looked at first; base and end are looked at always.
        budget: Most points in all, base and end included.
        resolution_frac: A difference of relative steps that does not matter.
        skipping: How items are skipped that the points around decide; all are asked where not given. Base, end, the
            chosen point and the one of most gain are asked in full all the same, so that what is said of them rests on
            answers; that no other point is better rests on what was decided too, and `Walk.skipped` bounds its errors.
    """

    rule: Rule = field(default_factory=OneStandardError)
    first: tuple[float, ...] = COARSE
    budget: int = 11
    resolution_frac: float = 0.05
    skipping: Skipping | None = None


@dataclass(frozen=True)
class Questions:
    """What every point of every path is asked.

    Attributes:
        base: The base; its model is led along paths and given back.
        learn: Tasks to be learned, by name.
        keep: Tasks to be kept.
        split: Which items are asked.
        limit: Most items of a task.
        reference: A copy of the base that stays where it is, for the divergence of texts; see `standing_still`.
        max_rows: Most rows in a batch.
        max_tokens: Most tokens in a batch, padding included.
    """

    base: Base
    learn: Mapping[str, Task]
    keep: Mapping[str, Task]
    split: Split = "validation"
    limit: int | None = None
    reference: PreTrainedModel | None = None
    max_rows: int = 64
    max_tokens: int = 16_384

    def asked(
        self,
        model: nn.Module,
        tick: Callable[[int], None] = lambda rows: None,
        only: Mapping[str, Collection[str]] | None = None,
    ) -> PointScores:
        """Scores of a model on the same items as everybody, or only on some items of some tasks."""
        return evaluate(
            model,
            self.base.tokenizer,
            {**self.learn, **self.keep},
            split=self.split,
            limit=self.limit,
            only=only,
            base=self.reference,
            max_rows=self.max_rows,
            max_tokens=self.max_tokens,
            tick=tick,
        )

    def candidate(self, point: WalkPoint) -> Candidate:
        """A point as a choice sees it."""
        scores = {each.task: each for each in point.scores.tasks}
        return Candidate(
            t=point.t,
            step_frac=point.step_frac,
            target=combine([scores[name] for name in self.learn]),
            kept={name: ItemScores.of(scores[name]) for name in self.keep},
            kl_nats=point.kl_nats,
        )


def standing_still(base: Base, *tasks: Mapping[str, Task]) -> PreTrainedModel | None:
    """A copy of a base for the divergence of texts, if there is any text among the tasks; nothing otherwise."""
    reads = any(task.ask == "read" for side in tasks for task in side.values())
    return copy.deepcopy(base.model) if reads else None


def walk(
    path: Walkable,
    questions: Questions,
    search: Search | None = None,
    *,
    known: Mapping[float, PointScores] | None = None,
    tick: Tick = lambda path, t, items: None,
) -> Walk:
    """Look for the best point of a path: a coarse grid first, then where the choice is open.

    Args:
        path: The path.
        questions: What its points are asked.
        search: How it is searched.
        known: Scores of points that need not be asked again.
        tick: For progress.

    Returns:
        The points that were scored, in ascending t. Those that lie farther from the base than the end does are among
        them, and take no part in a choice.

    Raises:
        NotMeasurable: If the path ends where it starts, or what the rule needs was not measured.
    """
    search = search or Search()
    book = Gradebook((*questions.learn, *questions.keep), questions.split, search.skipping, known)
    steps: dict[float, float] = {}
    trained = path.steps if isinstance(path, CheckpointPath) else {}
    ask = sorted({0.0, 1.0, *_first(path, search)})
    asked = 0
    whole = False
    while True:
        asked += sum(t not in book for t in ask)
        with path.walk(questions.base.model) as bring:
            book.fill(ask, _asking(path, questions, bring, tick), whole=whole)
        if new := [t for t in ask if t not in steps]:
            with steps_along(path) as step:
                steps |= {t: step(t) if t else 0.0 for t in new}
        points = tuple(
            WalkPoint(t=t, step_frac=steps[t], scores=book.at(t), training_step=trained.get(t)) for t in sorted(steps)
        )
        further = None if isinstance(path, CheckpointPath) else _further(points, questions, search)
        whole = further is None
        ask = _unasked(points, questions, search, book) if further is None else [further]
        if not ask:
            return Walk(path=path.label, points=points, evaluations=asked, skipped=book.skipped())


def comparable(points: Iterable[WalkPoint], questions: Questions) -> list[Candidate]:
    """The points of a walk among which one can be chosen: those no farther from the base than the end."""
    return [questions.candidate(point) for point in points if point.step_frac <= 1 + STEP_SLACK]


def _first(path: Walkable, search: Search) -> tuple[float, ...]:
    """Where a search looks first: at all saved checkpoints, and where layers are level if they are on this path."""
    if isinstance(path, CheckpointPath):
        return path.points
    return (*search.first, path.levelling.level_t) if isinstance(path, Levelled) else search.first


def _asking(path: Walkable, questions: Questions, bring: Bring, tick: Tick) -> Ask:
    return lambda t, only: questions.asked(bring(t), partial(tick, path.label, t), only)


def _further(points: Collection[WalkPoint], questions: Questions, search: Search) -> float | None:
    """Where to look next; what lies too far out to be chosen was paid for all the same."""
    candidates = comparable(points, questions)
    budget = search.budget - (len(points) - len(candidates))
    return next_point(candidates, search.rule, budget=budget, resolution_frac=search.resolution_frac)


def _unasked(points: Collection[WalkPoint], questions: Questions, search: Search, book: Gradebook) -> list[float]:
    """Points of which something will be said, and at which not every item was asked."""
    if all(book.is_whole(point.t) for point in points):
        return []
    curve = Curve.through(comparable(points, questions))
    told = {search.rule.pick(curve), best(curve.gain, curve.by_step)}
    return [t for place in sorted(told) if not book.is_whole(t := curve.candidates[place].t)]
