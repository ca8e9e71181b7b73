"""What sequences of trainings will do: data checked, budgets solved, every stage nameable before any of them runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.arena.exams import Exam
from holdfast.arena.jobs import BaseJob, CostJob, TrainingItems
from holdfast.arena.plan import examples_key
from holdfast.arena.sequence.chain import ChainJob
from holdfast.arena.sequence.curriculum import Curriculum
from holdfast.arena.sequence.leaks import without_leaks
from holdfast.arena.sequence.lesson import Lesson
from holdfast.arena.sequence.rows import Row, rows_of
from holdfast.arena.sequence.stage import Stage
from holdfast.arena.way_back import WayBack
from holdfast.core.errors import RecipeError
from holdfast.core.keys import key_of
from holdfast.core.sequence_recipe import Order, SequenceRecipe
from holdfast.core.task import Task
from holdfast.train.data import items_needed


@dataclass(frozen=True)
class SequencePlan:
    """A curriculum whose open questions are settled.

    Attributes:
        curriculum: What is learned, and how.
        output: Folder of it all.
        rows: The rows by label.
        reference: LoRA at the budget, or as it is: step times are given as shares of its own.
        limit: Most examples of each task; all where not given.
        without: Ids of examples that are left out, because they are also evaluated.
        exams_key: A key of all that is asked.
    """

    curriculum: Curriculum
    output: Path
    rows: Mapping[str, Row]
    reference: Row
    limit: int | None
    without: frozenset[str]
    exams_key: str

    @property
    def recipe(self) -> SequenceRecipe:
        """The recipe of the curriculum."""
        return self.curriculum.recipe

    @property
    def validation(self) -> Exam:
        """What chooses learning rates."""
        return Exam("validation", self.recipe.validation_items, self._asked)

    @property
    def test(self) -> Exam:
        """What is reported: all tasks and all abilities, after every stage."""
        return Exam("test", self.recipe.test_items, self._asked)

    @property
    def _asked(self) -> dict[str, Task]:
        return {**self.curriculum.tasks, **self.curriculum.keep}

    def base_job(self) -> BaseJob:
        """The job that names and scores the untouched base."""
        exams = ((exam, self.scores_of_base(exam)) for exam in (self.validation, self.test))
        return BaseJob(self.recipe, tuple(exams), self.output / "base" / "base.json")

    def scores_of_base(self, exam: Exam) -> Path:
        """Where the scores of the untouched base on an exam are."""
        return self.output / "base" / f"{exam.split}-{self.exams_key}.json"

    def lessons_of(self, row: Row) -> tuple[tuple[Order, ...], ...]:
        """What each reported chain of a row learns: an order of stages, each of one task or of several mixed."""
        tasks = tuple(self.curriculum.tasks)
        if row.regime == "alone":
            return tuple(((task,),) for task in tasks)
        if row.regime == "jointly":
            return ((tasks,),)
        return tuple(tuple((task,) for task in order) for order in self.curriculum.orders)

    def chain_job(
        self, row: Row, stages: Sequence[Order], rate: float, seed: int, base: str, *, reported: bool
    ) -> ChainJob:
        """One chain of a row.

        Args:
            row: The row.
            stages: The tasks of each stage.
            rate: Peak learning rate.
            seed: Training seed.
            base: Name of the base's weights.
            reported: Whether it is tested after every stage; a chain of the search is validated.
        """
        planned: list[Stage] = []
        for at, tasks in enumerate(stages):
            planned.append(self._stage(row, tasks, stages[:at], planned, rate, seed, base, reported=reported))
        name = f"{row.label}{self._which(row, stages)} seed {seed}" if reported else f"{row.label} rate {rate:g}"
        folder = f"{_plain(name)}-{planned[-1].folder.name[-8:]}"
        return ChainJob(name, self.output / "chains" / folder, tuple(planned), reported and row.regime == "sequence")

    def cost_job(self, base: str) -> CostJob:
        """The job that times a step of every method, by its text; rows of one method share its time."""
        methods = {row.method.spec(): row.method for row in (*self.rows.values(), self.reference)}
        key = key_of({"base": base, "methods": list(methods)})
        first = dict([next(iter(self.curriculum.tasks.items()))])
        items = TrainingItems(first, self.limit, self.without)
        return CostJob(self.recipe, methods, items, self.output / "costs" / f"step-seconds-{key[:8]}.json")

    def _which(self, row: Row, stages: Sequence[Order]) -> str:
        """What tells a reported chain of a row from the others of its seed."""
        if row.regime == "sequence":
            return f" order {1 + self.curriculum.orders.index(tuple(task for (task,) in stages))}"
        return f" {stages[0][0]}" if row.regime == "alone" else ""

    def _stage(
        self,
        row: Row,
        tasks: Order,
        past: Sequence[Order],
        before: Sequence[Stage],
        rate: float,
        seed: int,
        base: str,
        *,
        reported: bool,
    ) -> Stage:
        taught = self.curriculum.tasks
        earlier = {task: taught[task] for some in past for task in some}
        lesson = Lesson(
            tasks={task: taught[task] for task in tasks},
            past=earlier,
            known=self.curriculum.source,
            limit=self.limit,
            source_limit=self.recipe.source_items,
            without=self.without,
        )
        steps = self.recipe.max_steps * len(tasks)
        recipe = self.recipe.run(lesson.name, row.method.spec(), rate, seed, steps=steps)
        rule = self.recipe.rewind_rule if reported and row.regime == "sequence" else None
        origin = {
            "base": base,
            "exams": self.exams_key,
            "training": examples_key(lesson.taught()[0]),
            "source": examples_key(lesson.source()),
            # A name that holds the name before it: whatever came before is in it.
            "before": before[-1].folder.name if before else "",
            **({"rewind": f"{rule}, {self.recipe.rewind_points} points"} if rule is not None else {}),
        }
        key = key_of({"recipe": recipe.key(), **origin})[:8]
        name = f"{_plain(row.method.spec())[:40]}-{len(before) + 1}-{_plain(lesson.name)[-40:]}-seed-{seed}-{key}"
        return Stage(
            folder=self.output / "stages" / name,
            recipe=recipe,
            origin=origin,
            method=row.method,
            lesson=lesson,
            exams=(self.test if reported else self.validation,),
            way_back=None if rule is None else self._way_back(rule, lesson),
        )

    def _way_back(self, rule: str, lesson: Lesson) -> WayBack:
        """How a stage steps back: what it gained is weighed against what is lost of earlier tasks and of abilities."""
        asked = {**lesson.tasks, **lesson.past, **self.curriculum.keep}
        chooses, reports = (replace(exam, tasks=asked) for exam in (self.validation, self.test))
        return WayBack(rule, self.recipe.rewind_points, tuple(lesson.tasks), chooses, reports)


def planned_sequence(curriculum: Curriculum, output: Path) -> SequencePlan:
    """Settle what a curriculum leaves open.

    Args:
        curriculum: What is learned, and how.
        output: Folder of it all.

    Raises:
        RecipeError: If there are fewer than two tasks, tasks share training examples or leak into what is evaluated,
            or budgets cannot be reached.
    """
    recipe = curriculum.recipe
    if len(curriculum.tasks) < 2:
        listed = ", ".join(curriculum.tasks) or "none"
        raise RecipeError([f"tasks: a sequence needs at least 2, found {listed}; holdfast train learns a single one"])
    limit = items_needed(recipe)
    asked = {**curriculum.tasks, **curriculum.keep}
    evaluated = {
        name: [*task.examples("validation", recipe.validation_items), *task.examples("test", recipe.test_items)]
        for name, task in asked.items()
    }
    without = without_leaks(
        {name: task.examples("train", limit) for name, task in curriculum.tasks.items()},
        TrainingItems({}, known=curriculum.source, known_limit=recipe.source_items).source(),
        evaluated,
        drop=recipe.drop_overlap,
    )
    rows, reference = rows_of(curriculum)
    return SequencePlan(
        curriculum=curriculum,
        output=output,
        rows=rows,
        reference=reference,
        limit=limit,
        without=without,
        exams_key=examples_key(item for some in evaluated.values() for item in some),
    )


def _plain(text: str) -> str:
    return re.sub(r"[^\w.=+-]+", "-", text).strip("-")
