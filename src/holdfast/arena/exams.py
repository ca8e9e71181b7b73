"""What models of a comparison are asked, and how progress is told meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transformers import PreTrainedModel

from holdfast.core.recipe import TrainingOptions
from holdfast.core.scores import PointScores
from holdfast.core.task import Split, Task
from holdfast.measure.evaluate import evaluate
from holdfast.models.base import Base
from holdfast.weights.quiet import quiet

Notify = Callable[[str, float], None]
"""Told what is being done, and the share of it that is done."""


@dataclass(frozen=True)
class Exam:
    """What a model is asked.

    Attributes:
        split: Which items.
        limit: Most items of a task.
        tasks: Tasks by name.
    """

    split: Split
    limit: int
    tasks: Mapping[str, Task]


def examined(
    model: PreTrainedModel,
    base: Base,
    exam: Exam,
    options: TrainingOptions,
    notify: Notify,
    reference: PreTrainedModel | None,
) -> PointScores:
    """Scores of a model on an exam; ``reference`` is a base that stays where it is, for the divergence of texts."""
    done, total = 0, exam.limit * len(exam.tasks)

    def tick(items: int) -> None:
        nonlocal done
        done += items
        notify("scoring", min(1.0, done / total))

    with quiet():
        return evaluate(
            model,
            base.tokenizer,
            exam.tasks,
            split=exam.split,
            limit=exam.limit,
            base=reference,
            max_rows=options.max_eval_rows,
            max_tokens=options.max_eval_tokens,
            tick=tick,
        )
