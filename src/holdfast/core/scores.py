"""The scores of one model on the items of a suite, kept item by item so that models can be compared in pairs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from holdfast.core.task import Ask, Split

Unit = Literal["frac", "nats/token"]


class TaskScores(BaseModel):
    """Scores on the items of one task; higher is better in every unit.

    Attributes:
        task: Name of the task.
        ask: How the items were asked.
        unit: ``frac`` for graded answers (0 to 1); ``nats/token`` for the log-likelihood of a text.
        chance_frac: Score of a guess that knows nothing.
        ids: Item ids, in order.
        values: One score an item.
        weights: Weight of each item in the mean: its tokens for a text, 1 for an answer.
        truncated_frac: Share of answers that ran into the token limit.
        kl_nats: For texts: sum over tokens of KL(base || this model) an item; absent where no base was at hand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    ask: Ask
    unit: Unit
    chance_frac: float = 0.0
    ids: tuple[str, ...]
    values: tuple[FiniteFloat, ...]
    weights: tuple[FiniteFloat, ...]
    truncated_frac: float = 0.0
    kl_nats: tuple[FiniteFloat, ...] | None = None

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        lengths = {len(self.ids), len(self.values), len(self.weights)}
        if self.kl_nats is not None:
            lengths.add(len(self.kl_nats))
        if len(lengths) != 1:
            raise ValueError(f"ids, values and weights of task '{self.task}' differ in length")
        return self

    @property
    def mean(self) -> float:
        """Weighted mean of the items."""
        return sum(v * w for v, w in zip(self.values, self.weights, strict=True)) / sum(self.weights)

    @property
    def mean_kl_nats_per_token(self) -> float | None:
        """KL(base || this model) per token of text, where it was measured."""
        return None if self.kl_nats is None else sum(self.kl_nats) / sum(self.weights)


class PointScores(BaseModel):
    """Scores of one point (a base, a checkpoint, a point of a path) on one split of several tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split
    tasks: tuple[TaskScores, ...]

    def of(self, task: str) -> TaskScores | None:
        """Scores on one task, if it was measured."""
        return next((scores for scores in self.tasks if scores.task == task), None)
