"""A stage that steps back towards where it began, as far as a rule says on validation items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedModel

from holdfast.arena.exams import Notify
from holdfast.core.errors import NotMeasurable
from holdfast.core.evidence import RewoundRun
from holdfast.core.recipe import TrainRecipe
from holdfast.core.task import Split, Task
from holdfast.measure.rewind import scored_at
from holdfast.measure.walking import Questions, Search, comparable, walk
from holdfast.metrics.operating_point.choice import choose
from holdfast.metrics.operating_point.rules import rule_of
from holdfast.models.base import Base
from holdfast.store.run import RunFolder
from holdfast.weights.paths.catalogue import default_path
from holdfast.weights.quiet import quiet

ASKED: tuple[Split, Split] = ("validation", "test")
"""What chooses, and what is reported of the point that was chosen."""


@dataclass(frozen=True)
class StepBack:
    """How a stage steps back.

    Attributes:
        rule: The rule of choice, as it is written.
        points: Most points of the stage's path that are scored, start and end included.
        learned: The task that the stage learned, by name: its gain is weighed.
        kept: Tasks learned before, and abilities: against what is lost of these.
        limits: Most items of a task, by split.
    """

    rule: str
    points: int
    learned: Mapping[str, Task]
    kept: Mapping[str, Task]
    limits: Mapping[Split, int]

    def taken(self, run: RunFolder) -> bool:
        """Whether a stage has stepped back already, or cannot."""
        return run.no_way_back() is not None or run.rewound() is not None

    def strength(self, run: RunFolder) -> float:
        """Where on its path a stage stands: 0 is where it began, 1 where its training ended."""
        found = run.rewound()
        return 1.0 if found is None else found.t

    def take(
        self, run: RunFolder, recipe: TrainRecipe, start: Base, reference: PreTrainedModel | None, notify: Notify
    ) -> None:
        """Choose how far a stage steps back, or write down why no path leads back.

        Args:
            run: The stage, trained.
            recipe: Its recipe.
            start: The weights it began with; they are borrowed.
            reference: The untouched base, where there are texts to be read.
            notify: For progress.
        """
        validation, test = (self._questions(split, recipe, start, reference) for split in ASKED)
        search = Search(rule=rule_of(self.rule), budget=self.points)
        try:
            with quiet():
                path = default_path(run.checkpoint(recipe.max_steps), start.model, run.initial_tensors())
                found = walk(path, validation, search, tick=lambda path, t, items: notify("stepping back", t))
                choice = choose(comparable(found.points, validation), search.rule)
                scores = scored_at(path, [choice.candidate.t], test)
        except NotMeasurable as reason:
            run.write_no_way_back(str(reason))
            return
        run.write_rewound(
            RewoundRun(
                path=path.label,
                t=choice.candidate.t,
                step_frac=choice.candidate.step_frac,
                rule=self.rule,
                verdict=choice.verdict,
                too_few=choice.too_few,
                test=scores[choice.candidate.t],
                evaluations=found.evaluations,
            )
        )

    def _questions(
        self, split: Split, recipe: TrainRecipe, start: Base, reference: PreTrainedModel | None
    ) -> Questions:
        return Questions(
            start,
            self.learned,
            self.kept,
            split=split,
            limit=self.limits[split],
            reference=reference,
            max_rows=recipe.max_eval_rows,
            max_tokens=recipe.max_eval_tokens,
        )
