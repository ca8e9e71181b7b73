"""A miniature, a task and short recipes for tests of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.recipe import TrainRecipe
from holdfast.core.task import Example
from holdfast.models.base import Base, open_base
from holdfast.store.run import RunFolder
from holdfast.tasks.cant import Cant
from holdfast.tasks.recall import Recall
from holdfast.train.engine import train
from holdfast.weights.contracts import Method


@pytest.fixture(scope="session")
def miniature() -> Base:
    return open_base("miniature")


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return list(Cant().examples("train", 96))


@pytest.fixture(scope="session")
def known() -> list[Example]:
    """Examples of what the miniature already knows."""
    return list(Recall().examples("train", 12))


def into(parent: Path, miniature: Base, examples: list[Example]) -> Callable[..., RunFolder]:
    """Trains a method for a few steps into a folder of its own."""

    def runner(
        method: Method,
        name: str = "run",
        tick: Any = None,
        tasks: Sequence[str] = (),
        source: Sequence[Example] = (),
        **options: Any,
    ) -> RunFolder:
        given = {"method": method.spec(), "max_steps": 8, "per_device_train_batch_size": 4, "learning_rate": 1e-3}
        recipe = TrainRecipe(**{**given, **options})
        folder = RunFolder(parent / name)
        folder.open(recipe.model_dump(mode="json"))
        silent = tick or (lambda step, steps, loss: None)
        train(miniature, method, examples, recipe, folder, silent, tasks=tasks, source=source)
        return folder

    return runner


@pytest.fixture
def run(miniature: Base, examples: list[Example], tmp_path: Path) -> Callable[..., RunFolder]:
    """Train a method for a few steps into a folder of its own."""
    return into(tmp_path, miniature, examples)


@pytest.fixture(scope="session")
def done(
    miniature: Base, examples: list[Example], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., RunFolder]:
    """The same once for all tests that only read it."""
    parent, found = tmp_path_factory.mktemp("done"), dict[str, RunFolder]()

    def runner(method: Method, **options: Any) -> RunFolder:
        key = f"{method.spec()} {options}"
        if key not in found:
            found[key] = into(parent, miniature, examples)(method, str(len(found)), **options)
        return found[key]

    return runner
