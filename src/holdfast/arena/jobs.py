"""What a comparison is made of: jobs that each run in a process of their own and leave files behind."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from holdfast.arena.exams import Exam, Notify, examined
from holdfast.arena.way_back import WayBack
from holdfast.core.errors import HoldfastError, TrainingDiverged
from holdfast.core.recipe import TrainingOptions, TrainRecipe
from holdfast.core.task import Example, Task
from holdfast.measure.points import Checkpoint
from holdfast.methods.turns import in_turns
from holdfast.models.base import Base, open_base, stamp
from holdfast.store.files import write_text
from holdfast.store.run import RunFolder, read_json, write_scores
from holdfast.train.cost import peak_memory_bytes, step_seconds
from holdfast.train.data import evenly
from holdfast.train.engine import train
from holdfast.weights.contracts import Method


class Job(Protocol):
    """Something to be done once; doing it again when it is finished does nothing."""

    @property
    def name(self) -> str: ...

    @property
    def finished(self) -> bool: ...

    def run(self, notify: Notify) -> None: ...


@dataclass(frozen=True)
class TrainingItems:
    """The examples that every method trains on, and may draw on.

    Attributes:
        tasks: What is to be learned, by name; as many examples of each.
        limit: Most examples of each of them; all where not given.
        without: Ids of examples that are left out.
        known: What stands for what the model already knows, by name.
        known_limit: Most examples of all of that together.
    """

    tasks: Mapping[str, Task]
    limit: int | None = None
    without: frozenset[str] = frozenset()
    known: Mapping[str, Task] = field(default_factory=dict)
    known_limit: int = 0

    def taught(self) -> tuple[list[Example], list[str]]:
        """The examples and their tasks, always the same in the same order; a run's seed sets the order of training."""
        return evenly({name: self._of(task, self.limit) for name, task in self.tasks.items()})

    def source(self) -> list[Example]:
        """Examples of what the model already knows, always the same; tasks take turns until the limit is reached."""
        # A task with few examples leaves its share to the others.
        parts = {name: self._of(task, self.known_limit) for name, task in self.known.items()}
        return in_turns(parts, self.known_limit)

    def _of(self, task: Task, limit: int | None) -> list[Example]:
        return [example for example in task.examples("train", limit) if example.id not in self.without]


@dataclass(frozen=True)
class BaseJob:
    """Scores of the untouched base.

    Attributes:
        options: How the base is opened and measured.
        exams: What it is asked, and where the scores go.
        file: Where the name of its weights goes.
    """

    options: TrainingOptions
    exams: tuple[tuple[Exam, Path], ...]
    file: Path
    name: str = "base"

    @property
    def finished(self) -> bool:
        files = [self.file, *(file for _, file in self.exams)]
        return all(file.is_file() for file in files) and read_json(self.file)["stamp"] == self._stamp()

    def run(self, notify: Notify) -> None:
        """Name and score the base; what is there is not repeated, unless it belongs to another base.

        Raises:
            HoldfastError: If scores of another base are in the folder.
        """
        base = opened(self.options)
        if self.file.is_file() and read_json(self.file)["identity"] != base.identity:
            raise HoldfastError(
                f"{self.file.parent.parent} holds a comparison on another '{base.name}': its weights have changed "
                "since; give another --output_dir"
            )
        named = {
            "identity": base.identity,
            "params": base.model.num_parameters(),
            "vocabulary": base.model.config.get_text_config().vocab_size,
            "stamp": self._stamp(),
        }
        write_text(self.file, json.dumps(named, indent=2) + "\n")
        for exam, file in self.exams:
            if not file.is_file():
                write_scores(file, examined(base.model, base, exam, self.options, notify, base.model))

    def _stamp(self) -> str:
        return stamp(self.options.model_name_or_path)


@dataclass(frozen=True)
class RunJob:
    """One training run and the scores of its checkpoints.

    Attributes:
        name: Name of the run, for people.
        folder: Where it goes.
        recipe: Its recipe.
        origin: What else it depends on: identities of the base, of the training examples and of the tasks.
        method: The method, its knob set.
        items: What it trains on.
        final: What the last checkpoint is asked.
        curve: What every checkpoint is asked; nothing where no curve is wanted.
        way_back: How the last checkpoint is brought to its best point; nothing where it is not.
    """

    name: str
    folder: Path
    recipe: TrainRecipe
    origin: Mapping[str, str]
    method: Method
    items: TrainingItems
    final: Exam
    curve: Exam | None = None
    way_back: WayBack | None = None

    @property
    def finished(self) -> bool:
        folder = RunFolder(self.folder)
        walked = self.way_back is None or self.way_back.walked(folder)
        return (folder.finished and walked) or folder.failure() is not None

    @property
    def failure(self) -> str | None:
        """Why it cannot be finished, if it cannot."""
        return RunFolder(self.folder).failure()

    @property
    def final_point(self) -> str:
        """Name of the last checkpoint."""
        return f"step-{self.recipe.max_steps:06d}"

    def run(self, notify: Notify) -> None:
        """Train, then score; what is there already is not repeated.

        A training that diverges would diverge again: it is marked as failed, and that is an end, too.
        """
        folder = RunFolder(self.folder)
        folder.open({**self.recipe.model_dump(mode="json"), "origin": dict(self.origin)})
        base = opened(self.recipe)
        reference = copy.deepcopy(base.model) if any(task.ask == "read" for task in self.final.tasks.values()) else None
        if not folder.trained:
            before = peak_memory_bytes()
            examples, tasks = self.items.taught()
            try:
                train(
                    base,
                    self.method,
                    examples,
                    self.recipe,
                    folder,
                    _steps(notify),
                    tasks=tasks,
                    source=self.items.source(),
                )
            except TrainingDiverged as error:
                folder.mark_failed(str(error))
                return
            folder.write_memory(peak_memory_bytes() - before)
        asked = [(step, self.curve) for step in folder.checkpoints()] if self.curve else []
        for step, exam in [*asked, (self.recipe.max_steps, self.final)]:
            point = f"step-{step:06d}"
            if exam is not None and folder.scores(point, exam.split) is None:
                with Checkpoint(folder.checkpoint(step)).on(base.model) as model:
                    folder.write_scores(point, examined(model, base, exam, self.recipe, notify, reference))
        if self.way_back is not None and not self.way_back.walked(folder):
            self.way_back.walk(folder, self.recipe, base, reference, notify)
        if not folder.finished:
            folder.mark_finished()


@dataclass(frozen=True)
class CostJob:
    """Time of a training step of every method, side by side in one process.

    Attributes:
        options: How the base is opened and trained.
        methods: Methods by label.
        items: What they train on.
        file: Where the seconds go, by label.
    """

    options: TrainingOptions
    methods: Mapping[str, Method]
    items: TrainingItems
    file: Path
    name: str = "cost"

    @property
    def finished(self) -> bool:
        return self.file.is_file()

    def run(self, notify: Notify) -> None:
        """Time all methods in turn, again and again."""
        seconds = step_seconds(
            opened(self.options),
            self.methods,
            self.items.taught()[0],
            self.options,
            lambda share: notify("timing", share),
        )
        write_text(self.file, json.dumps(seconds, indent=2) + "\n")


def opened(options: TrainingOptions) -> Base:
    """The base of a recipe."""
    return open_base(
        options.model_name_or_path,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        allow_pickle=options.allow_pickle,
    )


def _steps(notify: Notify) -> Callable[[int, int, float | None], None]:
    return lambda step, steps, loss: notify("training", step / steps)
