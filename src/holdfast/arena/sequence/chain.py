"""One sequence of trainings as a job: its stages in turn, each on the weights that the one before it left."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from holdfast.arena.exams import Notify
from holdfast.arena.jobs import opened
from holdfast.arena.sequence.stage import Stage
from holdfast.core.errors import HoldfastError
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.store.files import sweep, whole_folder, write_text
from holdfast.weights.adapter import is_adapter
from holdfast.weights.paths.complaints import PROVENANCE
from holdfast.weights.quiet import quiet

CHAIN = "chain.json"
MODEL = "model"


@dataclass(frozen=True)
class ChainJob:
    """One sequence of trainings.

    What is kept: of every stage its checkpoint, scores and facts; of the chain the model that it ends with. The weights
    between two stages are made anew from the base and the checkpoints where they are needed.

    Attributes:
        name: Name of the chain, for people.
        folder: Where its list of stages goes, and the model that it ends with.
        stages: Its stages.
        keeps_model: Whether the model it ends with is written.
    """

    name: str
    folder: Path
    stages: tuple[Stage, ...]
    keeps_model: bool = True

    @property
    def finished(self) -> bool:
        """Whether all stages are, or one has failed for good."""
        if self.failure is not None:
            return True
        return all(stage.finished for stage in self.stages) and self.model.is_dir() and (self.folder / CHAIN).is_file()

    @property
    def model(self) -> Path:
        """The model that the chain ends with: an ordinary model folder, or the last stage's checkpoint."""
        last = self.stages[-1]
        whole = last.checkpoint.is_dir() and not is_adapter(last.checkpoint)
        return last.checkpoint if (whole and last.strength == 1) or not self.keeps_model else self.folder / MODEL

    @property
    def failure(self) -> str | None:
        """Which stage failed for good and why, if one has."""
        for at, stage in enumerate(self.stages, start=1):
            if (reason := stage.run.failure()) is not None:
                return _at(at, stage, reason)
        return None

    def run(self, notify: Notify) -> None:
        """Do what is left to do; a stage that another chain is at work on is waited for.

        Raises:
            HoldfastError: If a stage fails; says which.
        """
        base = opened(self.stages[0].recipe)
        reads = any(task.ask == "read" for stage in self.stages for exam in stage.exams for task in exam.tasks.values())
        reference = copy.deepcopy(base.model) if reads else None
        idle = True
        for at, stage in enumerate(self.stages):
            try:
                stage.folder.mkdir(parents=True, exist_ok=True)
                with FileLock(stage.folder / ".lock"):
                    there = stage.finished
                    ended = stage.take(base, self.stages[:at], reference, notify, first_here=idle)
                    idle = idle and there
            except HoldfastError as error:
                raise HoldfastError(_at(at + 1, stage, str(error))) from error
            if not ended:
                return
        sweep(self.folder)
        if not self.model.is_dir():
            self._write_model(base)
        stages = [{"task": stage.lesson.name, "folder": stage.folder.name} for stage in self.stages]
        listed = {"chain": self.name, "stages": stages, "model": os.path.relpath(self.model, self.folder)}
        write_text(self.folder / CHAIN, json.dumps(listed, indent=2) + "\n")

    def _write_model(self, base: Base) -> None:
        """Write the model as it is now as an ordinary model folder, with a note of where it comes from."""
        provenance = {
            "base": base.name,
            "base_identity": base.identity,
            "method": self.stages[0].recipe.method,
            "tasks": [stage.lesson.name for stage in self.stages],
            "identity": identity_of(base.model),
        }
        with whole_folder(self.model) as folder:
            with quiet():
                base.model.save_pretrained(folder)
            base.tokenizer.save_pretrained(folder)
            write_text(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")


def _at(number: int, stage: Stage, reason: str) -> str:
    return f"stage {number}, '{stage.lesson.name}': {reason}"
