"""The way back from a run's last checkpoint to its best point, chosen on validation items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from holdfast.arena.exams import Exam, Notify
from holdfast.core.errors import NotMeasurable
from holdfast.core.evidence import RewoundRun
from holdfast.core.recipe import TrainRecipe
from holdfast.core.scores import PointScores
from holdfast.measure.rewind import scored_at
from holdfast.measure.walking import Questions, Search, comparable, walk
from holdfast.metrics.operating_point.choice import choose
from holdfast.metrics.operating_point.rules import rule_of
from holdfast.models.base import Base
from holdfast.store.run import RunFolder, read_scores
from holdfast.weights.paths.catalogue import default_path
from holdfast.weights.quiet import quiet


@dataclass(frozen=True)
class WayBack:
    """How a run is brought to its best point.

    Attributes:
        rule: The rule of choice, as it is written.
        points: Most points of the path that are scored, start and end included.
        learn: Tasks to be learned; all others of an exam are to be kept.
        chooses: What points are asked so that one is chosen.
        reports: What the chosen point is asked.
        base: Where the scores of what the run began with on the first are; nothing where nobody asked it.
    """

    rule: str
    points: int
    learn: tuple[str, ...]
    chooses: Exam
    reports: Exam
    base: Path | None = None

    def walked(self, folder: RunFolder) -> bool:
        """Whether nothing is left to do for a run."""
        if folder.no_way_back() is not None:
            return True
        found = folder.rewound()
        return found is not None and found.rule == self.rule

    def walk(
        self, folder: RunFolder, recipe: TrainRecipe, base: Base, reference: PreTrainedModel | None, notify: Notify
    ) -> None:
        """Choose a run's best point and score it, or write down why no path leads back.

        Args:
            folder: The run, trained; what its last checkpoint was asked already is not asked again.
            recipe: Its recipe.
            base: What the run began with; its model is borrowed.
            reference: A copy of the untouched base that stays where it is, where there are texts to be read.
            notify: For progress.
        """
        last = folder.checkpoint(recipe.max_steps)
        asked = {exam.split: self._questions(exam, recipe, base, reference) for exam in (self.chooses, self.reports)}
        questions = asked[self.chooses.split]
        search = Search(rule=rule_of(self.rule), budget=self.points)
        begun = {} if self.base is None else {0.0: read_scores(self.base)}
        known = begun | _scored(folder, last.name, self.chooses)
        try:
            with quiet():
                path = default_path(last, base.model, folder.initial_tensors())
                found = walk(path, questions, search, known=known, tick=lambda path, t, items: notify("rewinding", t))
        except NotMeasurable as reason:
            folder.write_no_way_back(str(reason))
            return
        choice = choose(comparable(found.points, questions), search.rule)
        t = choice.candidate.t
        test = _scored(folder, last.name, self.reports) if t == 1 else {}
        with quiet():
            test = test or scored_at(path, [t], asked[self.reports.split])
        folder.write_rewound(
            RewoundRun(
                path=path.label,
                t=t,
                step_frac=choice.candidate.step_frac,
                rule=self.rule,
                verdict=choice.verdict,
                too_few=choice.too_few,
                test=test[t],
                evaluations=found.evaluations,
            )
        )

    def _questions(self, exam: Exam, recipe: TrainRecipe, base: Base, reference: PreTrainedModel | None) -> Questions:
        return Questions(
            base,
            {name: task for name, task in exam.tasks.items() if name in self.learn},
            {name: task for name, task in exam.tasks.items() if name not in self.learn},
            split=exam.split,
            limit=exam.limit,
            reference=reference,
            max_rows=recipe.max_eval_rows,
            max_tokens=recipe.max_eval_tokens,
        )


def _scored(folder: RunFolder, point: str, exam: Exam) -> dict[float, PointScores]:
    """Scores of the last checkpoint, if they are there."""
    found = folder.scores(point, exam.split)
    return {} if found is None else {1.0: found}
