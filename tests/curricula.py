"""A small curriculum on the miniature, and a method that tells what it was given of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from holdfast.arena.sequence.chain import ChainJob
from holdfast.arena.sequence.curriculum import Curriculum
from holdfast.arena.sequence.plan import planned_sequence
from holdfast.cli.resolve import curriculum_of
from holdfast.core.sequence_recipe import SequenceRecipe
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.weights.contracts import Method
from holdfast.weights.past import PastStage

SHORT: dict[str, Any] = {
    "tasks": ("cant", "diagnosis"),
    "orders": 1,
    "methods": ("lora",),
    "retention": ("recall",),
    "seeds": (1,),
    "max_steps": 4,
    "per_device_train_batch_size": 4,
    "learning_rate_scale": 20,
    "learning_rate_tries": 1,
    "validation_items": 4,
    "test_items": 4,
    "resamples": 200,
}


def small_curriculum(extra: Mapping[str, Method] | None = None, **options: Any) -> Curriculum:
    """A curriculum of seconds; options of the recipe may be changed, and methods added that are not installed."""
    curriculum = curriculum_of(SequenceRecipe(**{**SHORT, **options}))
    if extra is None:
        return curriculum
    recipe = curriculum.recipe.model_copy(update={"methods": tuple(extra)})
    return replace(curriculum, recipe=recipe, methods={**curriculum.methods, **extra})


class Cutting:
    """Stops what it follows after so many notes of progress, and takes down what was noted."""

    def __init__(self, after: int) -> None:
        self.noted: list[tuple[str, float]] = []
        self._after = after

    def __call__(self, doing: str, share: float) -> None:
        self.noted.append((doing, share))
        if len(self.noted) == self._after:
            raise KeyboardInterrupt


def chain_of(folder: Path, extra: Mapping[str, Method] | None = None, rate: float = 0.004, **options: Any) -> ChainJob:
    """The reported chain of the first row in the first order, at a rate that nobody searched for."""
    plan = planned_sequence(small_curriculum(extra, **options), folder)
    row = next(iter(plan.rows.values()))
    return plan.chain_job(row, plan.lessons_of(row)[0], rate, 1, "the base", reported=True)


@dataclass(frozen=True)
class Minding(OnTop):
    """LoRA that tells what it was given of the past, and leaves a number."""

    name: ClassVar[str] = "minding"
    heard: ClassVar[list[list[tuple[str, dict[str, float], float]]]] = []

    on: str = "lora"

    def attach(self, model: nn.Module) -> MindingAttachment:
        return MindingAttachment(self.inner.attach(model))


class MindingAttachment(OnTopAttachment):
    """An attachment that tells what it was given."""

    _count = -1

    def own_follow(self, past: Sequence[PastStage]) -> None:
        self._count = len(past)
        told = [(one.task, {k: float(v) for k, v in one.keepsake().items()}, one.update().norm()) for one in past]
        Minding.heard.append(told)

    def own_keepsake(self) -> Mapping[str, Tensor]:
        return {"number": torch.tensor(float(self._count))}
