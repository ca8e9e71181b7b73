"""Scores along a path: one model in memory, brought from point to point, asked the same items at each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from torch import nn
from transformers import PreTrainedModel

from holdfast.core.rewinding import Walk, WalkPoint
from holdfast.core.scores import PointScores
from holdfast.core.task import Split, Task
from holdfast.measure.evaluate import evaluate
from holdfast.metrics.operating_point.candidates import STEP_SLACK, Candidate, ItemScores, combine
from holdfast.metrics.operating_point.refinement import next_point
from holdfast.metrics.operating_point.rules import OneStandardError, Rule
from holdfast.models.base import Base
from holdfast.weights.path import Walkable
from holdfast.weights.paths.checkpoints import CheckpointPath
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
    """

    rule: Rule = field(default_factory=OneStandardError)
    first: tuple[float, ...] = COARSE
    budget: int = 11
    resolution_frac: float = 0.05


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

    def asked(self, model: nn.Module, tick: Callable[[int], None] = lambda rows: None) -> PointScores:
        """Scores of a model on the same items as everybody."""
        return evaluate(
            model,
            self.base.tokenizer,
            {**self.learn, **self.keep},
            split=self.split,
            limit=self.limit,
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
    search, scores = search or Search(), dict(known or {})
    points: dict[float, WalkPoint] = {}
    ask = sorted({0.0, 1.0, *(path.points if isinstance(path, CheckpointPath) else search.first)})
    asked = 0
    while ask:
        new = [t for t in ask if t not in scores]
        with path.walk(questions.base.model) as bring:
            scores |= {t: questions.asked(bring(t), partial(tick, path.label, t)) for t in new}
        asked += len(new)
        with steps_along(path) as step:
            points |= {t: WalkPoint(t=t, step_frac=step(t) if t else 0.0, scores=scores[t]) for t in ask}
        further = None if isinstance(path, CheckpointPath) else _further(points, questions, search)
        ask = [] if further is None else [further]
    return Walk(path=path.label, points=tuple(points[t] for t in sorted(points)), evaluations=asked)


def comparable(points: Iterable[WalkPoint], questions: Questions) -> list[Candidate]:
    """The points of a walk among which one can be chosen: those no farther from the base than the end."""
    return [questions.candidate(point) for point in points if point.step_frac <= 1 + STEP_SLACK]


def _further(points: Mapping[float, WalkPoint], questions: Questions, search: Search) -> float | None:
    """Where to look next; what lies too far out to be chosen was paid for all the same."""
    candidates = comparable(points.values(), questions)
    budget = search.budget - (len(points) - len(candidates))
    return next_point(candidates, search.rule, budget=budget, resolution_frac=search.resolution_frac)
