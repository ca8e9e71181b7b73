"""The folder of one training run: its recipe, its checkpoints, their scores. Immutable once finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from holdfast.core.document import read_document
from holdfast.core.errors import DamagedCheckpoint, HoldfastError
from holdfast.core.evidence import RewoundRun
from holdfast.core.isolation import IsolationCourse
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.core.record import Record, read_jsonl, to_jsonl
from holdfast.core.scores import PointScores
from holdfast.core.task import Split
from holdfast.store.files import read_tensors, sweep, whole_folder, write_tensors, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

RECIPE = "recipe.json"
FACTS = "facts.jsonl"
MEMORY = "memory.json"
TRAINED = "trained.json"
FAILED = "failed.json"
FINISHED = "finished.json"
INITIAL = "initial.safetensors"
REWOUND = "rewound.json"
NO_WAY_BACK = "no-way-back.json"
ISOLATION = "isolation.json"
PLAN = "plan.json"
KEEPSAKE = "keepsake.safetensors"


class RunFolder:
    """One run on disk.

    Every file is there whole or not at all. The order in which files appear says how far the run has come:
    ``recipe.json``, checkpoints, ``facts.jsonl``, ``trained.json`` when training is over, scores, and ``finished.json``
    last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, recipe: dict[str, Any]) -> None:
        """Make the folder, or take up one that was begun with the same recipe.

        Raises:
            DamagedCheckpoint: If the folder belongs to another recipe.
        """
        file = self.path / RECIPE
        text = json.dumps(recipe, indent=2, sort_keys=True) + "\n"
        if not file.is_file():
            write_text(file, text)
        elif file.read_text(encoding="utf-8") != text:
            raise DamagedCheckpoint(f"{self.path} holds a run of another recipe; give another --output_dir")
        sweep(self.path)
        sweep(self.path / "checkpoints")
        sweep(self.path / "scores")

    def recipe(self) -> dict[str, Any]:
        """The recipe that the run was begun with."""
        content: dict[str, Any] = read_json(self.path / RECIPE)
        return content

    @property
    def trained(self) -> bool:
        """Whether training is over and all checkpoints are there."""
        return (self.path / TRAINED).is_file()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return (self.path / FINISHED).is_file()

    def mark_failed(self, reason: str) -> None:
        """Say that this run cannot be finished, because its recipe leads nowhere; it is not tried again."""
        write_text(self.path / FAILED, json.dumps({"reason": reason}) + "\n")

    def failure(self) -> str | None:
        """Why this run cannot be finished, if it cannot."""
        file = self.path / FAILED
        return str(read_json(file)["reason"]) if file.is_file() else None

    @property
    def resume(self) -> Path:
        """Where the trainer keeps what it resumes from; gone when training is over."""
        return self.path / "resume"

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint after a step."""
        return self.path / "checkpoints" / f"step-{step:06d}"

    def checkpoints(self) -> dict[int, Path]:
        """Checkpoints that are there, by step, ascending."""
        folders = {int(path.name.removeprefix("step-")): path for path in (self.path / "checkpoints").glob("step-*")}
        return dict(sorted(folders.items()))

    @contextmanager
    def new_checkpoint(self, step: int) -> Iterator[Path]:
        """A folder to be filled with the checkpoint of a step; it gets its name when it is complete."""
        with whole_folder(self.checkpoint(step)) as folder:
            yield folder

    def write_facts(self, facts: list[Record]) -> None:
        """Keep what was measured of the run itself."""
        write_text(self.path / FACTS, to_jsonl(facts))

    def facts(self) -> list[Record]:
        """What was measured of the run itself; nothing before training is over."""
        return list(read_jsonl(self.path / FACTS)) if (self.path / FACTS).is_file() else []

    def write_memory(self, peak_bytes: int) -> None:
        """Keep how much memory training took above what was held before."""
        write_text(self.path / MEMORY, json.dumps({"peak_memory_bytes": peak_bytes}) + "\n")

    def memory(self) -> int | None:
        """Memory that training took, if the run was not cut off before it was written."""
        file = self.path / MEMORY
        return int(read_json(file)["peak_memory_bytes"]) if file.is_file() else None

    def mark_trained(self, content: dict[str, Any]) -> None:
        """Say that training is over."""
        write_text(self.path / TRAINED, json.dumps(content, indent=2) + "\n")

    def training(self) -> dict[str, Any]:
        """What training left to be told: losses, tokens, seconds."""
        content: dict[str, Any] = read_json(self.path / TRAINED)
        return content

    def write_scores(self, point: str, scores: PointScores) -> None:
        """Keep the scores of a point on a split."""
        write_scores(self._scores_file(point, scores.split), scores)

    def scores(self, point: str, split: Split) -> PointScores | None:
        """Scores of a point on a split, if they are there."""
        file = self._scores_file(point, split)
        return read_scores(file) if file.is_file() else None

    @property
    def initial(self) -> Path:
        """The trainable tensors as they were right after attaching, where a way back needs them."""
        return self.path / INITIAL

    def initial_tensors(self) -> dict[str, Tensor] | None:
        """What is kept of where the method started; nothing where it is not needed."""
        return read_tensors(self.initial) if self.initial.is_file() else None

    def write_rewound(self, rewound: RewoundRun) -> None:
        """Keep the run at its best point."""
        write_text(self.path / REWOUND, rewound.model_dump_json(exclude_none=True) + "\n")

    def write_no_way_back(self, reason: str) -> None:
        """Say that no path leads back from where this run ended."""
        write_text(self.path / NO_WAY_BACK, json.dumps({"reason": reason}) + "\n")

    def rewound(self) -> RewoundRun | None:
        """The run at its best point, if it was looked for and a path leads there."""
        file = self.path / REWOUND
        return read_document(RewoundRun, file, "a rewound run", "was it removed?") if file.is_file() else None

    def no_way_back(self) -> str | None:
        """Why no path leads back, if none does."""
        file = self.path / NO_WAY_BACK
        return str(read_json(file)["reason"]) if file.is_file() else None

    def write_isolation(self, course: IsolationCourse) -> None:
        """Keep how the choice of held scalars went."""
        write_text(self.path / ISOLATION, course.model_dump_json() + "\n")

    def isolation(self) -> IsolationCourse | None:
        """How the choice of held scalars went, if the method holds any."""
        file = self.path / ISOLATION
        if not file.is_file():
            return None
        return read_document(IsolationCourse, file, "the course of an isolation", "was it changed?")

    def write_plan(self, plan: ParameterPlan) -> None:
        """Keep which tensors were chosen to be trained."""
        write_text(self.path / PLAN, plan.model_dump_json(exclude_none=True) + "\n")

    def plan(self) -> ParameterPlan | None:
        """Which tensors were chosen to be trained, if the method chooses."""
        file = self.path / PLAN
        return read_document(ParameterPlan, file, "a plan of parameters", "was it removed?") if file.is_file() else None

    @property
    def keepsake(self) -> Path:
        """What the method left for later tasks of a sequence, if it left anything."""
        return self.path / KEEPSAKE

    def write_keepsake(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep what the method leaves for later tasks of a sequence; nothing is written where there is nothing."""
        if tensors:
            # Views and tensors that share memory cannot be stored.
            write_tensors(self.keepsake, {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()})

    def keepsake_tensors(self) -> dict[str, Tensor]:
        """What the method left for later tasks of a sequence, on the processor."""
        return read_tensors(self.keepsake) if self.keepsake.is_file() else {}

    def mark_finished(self) -> None:
        """Say that nothing is left to do. This is the last file a run writes."""
        write_text(self.path / FINISHED, "{}\n")

    def _scores_file(self, point: str, split: Split) -> Path:
        return self.path / "scores" / f"{point}.{split}.json"


def write_scores(file: Path, scores: PointScores) -> None:
    """Write scores as one JSON file."""
    write_text(file, scores.model_dump_json(exclude_none=True) + "\n")


def read_scores(file: Path) -> PointScores:
    """Scores from a file.

    Raises:
        DamagedCheckpoint: If the file does not hold scores.
    """
    try:
        return PointScores.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise DamagedCheckpoint(f"{file} does not hold scores; remove it and run again ({error})") from error


def read_json(file: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DamagedCheckpoint: If it is missing or not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"{file} is missing: was the folder copied in part?") from error
    except json.JSONDecodeError as error:
        raise DamagedCheckpoint(f"{file} is not JSON: {error}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from writing into a folder for the length of a ``with`` block; a killed process lets go by itself.

    Raises:
        HoldfastError: If another process is writing there now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", blocking=False):
            yield
    except Timeout as error:
        raise HoldfastError(f"another process is writing into {folder}; wait for it or stop it first") from error
