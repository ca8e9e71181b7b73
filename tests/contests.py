"""A small contest on the miniature, an executor that runs its jobs here and now, and jobs that try executors."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.arena.executor import Outcome, Watch
from holdfast.arena.jobs import Job, Notify
from holdfast.arena.plan import Contest
from holdfast.cli.resolve import contest_of
from holdfast.core.errors import HoldfastError
from holdfast.core.recipe import ArenaRecipe

SMALL: dict[str, Any] = {
    "methods": ("lora", "ia3"),
    "target": "cant",
    "retention": ("recall", "chronicle"),
    "seeds": (1,),
    "max_steps": 6,
    "per_device_train_batch_size": 4,
    "learning_rate_scale": 20,
    "learning_rate_tries": 1,
    "validation_items": 8,
    "test_items": 8,
    "checkpoints": 2,
    "resamples": 200,
    "rewind_rule": None,
}


class HereAndNow:
    """Runs jobs in this process, one after the other, and counts them."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def run(self, jobs: Sequence[Job], watch: Watch) -> list[Outcome]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        if not job.finished:
            self.ran.append(job.name)
            try:
                job.run(lambda doing, share: None)
            except HoldfastError as error:
                return Outcome(job.name, str(error))
        return Outcome(job.name)


class NoClock(HereAndNow):
    """Takes no times of steps: that takes seconds, and few tests look at them."""

    def _one(self, job: Job) -> Outcome:
        return Outcome(job.name, "there is no clock here") if job.name == "cost" else super()._one(job)


def small_contest(**options: Any) -> Contest:
    """A contest of seconds; options of the recipe may be changed."""
    return contest_of(ArenaRecipe(**{**SMALL, **options}))


@dataclass(frozen=True)
class Note:
    """A job that writes a file, after a while."""

    name: str
    file: Path
    wait_s: float = 0.0

    @property
    def finished(self) -> bool:
        return self.file.is_file()

    def run(self, notify: Notify) -> None:
        notify("waiting", 0.5)
        time.sleep(self.wait_s)
        self.file.write_text(str(os.getpid()))


@dataclass(frozen=True)
class Stumble:
    """A job that ends badly: by an error that explains itself, by one that does not, or by dying."""

    name: str
    how: str
    finished: bool = False

    def run(self, notify: Notify) -> None:
        if self.how == "dies":
            os._exit(7)
        raise HoldfastError("too steep") if self.how == "explains" else ValueError("stumbled")


@dataclass(frozen=True)
class Endless:
    """A job that says who it is and never ends."""

    name: str
    file: Path
    finished: bool = False

    def run(self, notify: Notify) -> None:
        self.file.write_text(str(os.getpid()))
        time.sleep(600)
