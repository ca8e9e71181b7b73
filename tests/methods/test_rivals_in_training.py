"""Methods that see data or order it do so in an ordinary training, which resumes as any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from holdfast.core.errors import RecipeError
from holdfast.core.recipe import TrainRecipe
from holdfast.core.task import Example
from holdfast.methods.cpi_ft import CpiFt
from holdfast.methods.dpi import Dpi
from holdfast.methods.migu import Migu
from holdfast.methods.ssu import Ssu
from holdfast.models.base import Base
from holdfast.store.run import RunFolder
from holdfast.tasks.cant import Cant
from holdfast.tasks.query import Query
from holdfast.tasks.recall import Recall
from holdfast.train.engine import train
from holdfast.weights.contracts import Method

TASKS = [task for _ in range(12) for task in ("cant", "query")]
EXAMPLES = [
    example
    for pair in zip(Cant().examples("train", 12), Query().examples("train", 12), strict=True)
    for example in pair
]
SOURCE: list[Example] = list(Recall().examples("train", 8))
STAGED = {"threshold": 1.0, "ratio": 0.05, "probe_steps": 2}


class Cut(Exception):
    """The moment at which a run is cut off."""


@pytest.fixture
def run(miniature: Base, tmp_path: Path) -> Callable[..., RunFolder]:
    def runner(method: Method, name: str, cut: int | None = None, tasks: list[str] = TASKS) -> RunFolder:
        def tick(step: int, steps: int, loss: float | None) -> None:
            if step == cut:
                raise Cut

        options = {"max_steps": 8, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
        recipe = TrainRecipe(method=method.spec(), target="cant+query", learning_rate=1e-3, **options)
        folder = RunFolder(tmp_path / name)
        folder.open(recipe.model_dump(mode="json"))
        train(miniature, method, EXAMPLES, recipe, folder, tick, tasks=tasks, source=SOURCE)
        return folder

    return runner


def weights_of(folder: RunFolder) -> dict[str, torch.Tensor]:
    (file,) = folder.checkpoint(8).glob("*.safetensors")
    return load_file(file)


METHODS = [Migu(), Ssu(examples=5), Dpi(**STAGED), CpiFt(**STAGED), CpiFt(**STAGED, fusion="start")]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.spec())
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(run: Callable[..., RunFolder], method: Method) -> None:
    whole = run(method, "whole")
    with pytest.raises(Cut):
        run(method, "cut", cut=7)  # the last state is of step 6, in the second stage
    one, other = weights_of(whole), weights_of(run(method, "cut"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_tasks_are_trained_in_stages(run: Callable[..., RunFolder]) -> None:
    folder = run(Dpi(**STAGED), "run")
    course = folder.isolation()
    assert course is not None and [refresh.step for refresh in course.refreshes] == [4]
    assert course.notes[0].startswith("trained in stages, the cores of earlier ones held: ")
    facts = {record.quantity: record.value for record in folder.facts()}
    assert facts["probe_steps"] == 4 and facts["stages"] == 2


def test_one_task_alone_is_refused_before_anything_is_trained(run: Callable[..., RunFolder]) -> None:
    with pytest.raises(RecipeError, match="dpi: it is made for several tasks"):
        run(Dpi(), "one", tasks=["cant"] * len(EXAMPLES))
