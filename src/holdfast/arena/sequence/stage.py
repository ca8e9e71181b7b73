"""One stage of a sequence: a training on the weights that the stages before it left, and what is asked after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from holdfast.arena.exams import Exam, Notify, examined
from holdfast.arena.jobs import opened
from holdfast.arena.sequence.lesson import Lesson
from holdfast.arena.way_back import WayBack
from holdfast.core.errors import HoldfastError, NotMeasurable, TrainingDiverged
from holdfast.core.recipe import TrainRecipe
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.store.run import RunFolder
from holdfast.train.cost import forget_peak_memory, peak_memory_bytes
from holdfast.train.engine import train
from holdfast.weights.contracts import Method
from holdfast.weights.folding import fold, learned_in
from holdfast.weights.past import PastStage
from holdfast.weights.paths.catalogue import default_path
from holdfast.weights.quiet import quiet
from holdfast.weights.update import Update


@dataclass(frozen=True)
class Stage:
    """A stage, as it is planned; chains that begin alike share their first stages.

    Attributes:
        folder: Where it goes; its name holds a key of all that the stage depends on, the stages before it included.
        recipe: Recipe of its training.
        origin: What else it depends on: names of the base, of the data, and of the stage before it.
        method: The method, its knob set.
        lesson: What it trains on.
        exams: What is asked after it.
        way_back: How it steps back towards where it began; nothing where it stays where it ended.
    """

    folder: Path
    recipe: TrainRecipe
    origin: Mapping[str, str]
    method: Method
    lesson: Lesson
    exams: tuple[Exam, ...]
    way_back: WayBack | None = None

    @property
    def run(self) -> RunFolder:
        """Its folder, as one run."""
        return RunFolder(self.folder)

    @property
    def point(self) -> str:
        """Name of the last checkpoint."""
        return self.checkpoint.name

    @property
    def checkpoint(self) -> Path:
        """Folder of the last checkpoint."""
        return self.run.checkpoint(self.recipe.max_steps)

    @property
    def finished(self) -> bool:
        """Whether it is trained and all that is asked after it is answered."""
        settled = self.way_back is None or self.way_back.walked(self.run)
        return self.run.trained and settled and not self._unanswered()

    @property
    def strength(self) -> float:
        """Where on its path it stands: 0 is where it began, 1 where its training ended."""
        found = self.run.rewound()
        return 1.0 if found is None else found.t

    def take(
        self,
        base: Base,
        before: Sequence[Stage],
        reference: PreTrainedModel | None,
        notify: Notify,
        *,
        first_here: bool = True,
    ) -> bool:
        """Do what is left to do; the model ends with what was learned in its weights.

        Args:
            base: The weights that the stage before this one left; they are changed.
            before: The stages before this one, all of them finished.
            reference: The untouched base, where there are texts to be read.
            notify: For progress.
            first_here: Whether no other stage was at work in this process: only then does its peak tell of this one.

        Returns:
            Whether there is an end to go on from: a training that diverges is marked as failed, for it would again.

        Raises:
            HoldfastError: If it fails otherwise, or what it learned cannot be folded into the weights.
        """
        self.run.open({**self.recipe.model_dump(mode="json"), "origin": dict(self.origin)})
        if self.run.failure() is not None:
            return False
        if not self.run.trained and not self._train(base, before, notify, first_here):
            return False
        if self.way_back is not None and not self.way_back.walked(self.run):
            self.way_back.walk(self.run, self.recipe, base, reference, notify)
        self.fold_into(base.model)
        for exam in self._unanswered():
            self.run.write_scores(self.point, examined(base.model, base, exam, self.recipe, notify, reference))
        return True

    def fold_into(self, model: PreTrainedModel) -> None:
        """Make the weights that the stage began with those that it left.

        Raises:
            HoldfastError: If the method does not act by changing weights.
        """
        try:
            with quiet():
                if self.strength == 1:
                    fold(self.checkpoint, model)
                else:
                    self.learned(model).write_into(model)
        except NotMeasurable as reason:
            raise HoldfastError(
                f"{self.recipe.method}: what it learned cannot become the weights that the next task begins with: "
                f"{reason}; leave the method out"
            ) from reason

    def learned(self, model: PreTrainedModel) -> Update:
        """What the stage did to the weights it began with.

        Args:
            model: Those weights; they are to stay as they are while the update is used.

        Raises:
            NotMeasurable: If the method does not act by changing weights.
        """
        if self.strength == 1:
            return learned_in(self.checkpoint, model)
        return default_path(self.checkpoint, model, self.run.initial_tensors()).at(self.strength)

    def _train(self, base: Base, before: Sequence[Stage], notify: Notify, first_here: bool) -> bool:
        start = Base(base.name, base.model, base.tokenizer, identity_of(base.model))
        examples, tasks = self.lesson.taught()
        seen = forget_peak_memory() or first_here
        held = peak_memory_bytes()
        try:
            train(
                start,
                self.method,
                examples,
                self.recipe,
                self.run,
                lambda step, steps, loss: notify(f"learning {self.lesson.name}", step / steps),
                tasks=tasks,
                source=self.lesson.source(),
                past=[_past(stage, before[:at]) for at, stage in enumerate(before)],
            )
        except TrainingDiverged as error:
            self.run.mark_failed(str(error))
            return False
        if seen:
            self.run.write_memory(peak_memory_bytes() - held)
        return True

    def _unanswered(self) -> list[Exam]:
        return [exam for exam in self.exams if self.run.scores(self.point, exam.split) is None]


def _begun_with(recipe: TrainRecipe, before: Sequence[Stage]) -> PreTrainedModel:
    """The weights that finished stages left, from the base and their checkpoints alone."""
    model: PreTrainedModel = opened(recipe).model
    for stage in before:
        stage.fold_into(model)
    return model


def _past(stage: Stage, before: Sequence[Stage]) -> PastStage:
    # Read when it is asked for: few methods do, and a model is opened for it.
    return PastStage(
        task=stage.lesson.name,
        update=lambda: stage.learned(_begun_with(stage.recipe, before)),
        keepsake=stage.run.keepsake_tensors,
    )
