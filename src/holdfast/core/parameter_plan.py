"""Which tensors a task is to be trained on, and what the choice rests on: made once, used on any machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, FiniteFloat

from holdfast.core.document import Document, read_document


class PlannedTensor(Document):
    """One eligible tensor of the model.

    Attributes:
        name: As in ``model.named_parameters()``.
        params: How many scalars it has.
        chosen: Whether the task is trained on it.
        score: What tensors were ranked by, the higher the sooner; absent in a plan that was written by hand.
        signals: What the score was made of, by name, such as ``l2_rms`` and ``fisher``.
        owners: Earlier tasks that were trained on it.
        scaled: The signals as they were joined, such as min-max over all eligible tensors.
        rank: Its place among the eligible tensors, 1 for the highest score; absent where it has no score.
        zero_frac: Share of its scalars that the probe has left exactly where they were.
        same_as: Other names of the same tensor in the model, such as a head that is tied to the embedding.
        chosen_params: How many of its scalars are trained, where that is not all or none of them.
    """

    name: str
    params: int
    chosen: bool
    score: FiniteFloat | None = None
    signals: dict[str, FiniteFloat] = Field(default_factory=dict)
    owners: tuple[str, ...] = ()
    scaled: dict[str, FiniteFloat] = Field(default_factory=dict)
    rank: int | None = None
    zero_frac: FiniteFloat | None = None
    same_as: tuple[str, ...] = ()
    chosen_params: int | None = None

    @property
    def trained_params(self) -> int:
        """How many of its scalars are trained."""
        if self.chosen_params is not None:
            return self.chosen_params
        return self.params if self.chosen else 0


class ParameterPlan(Document):
    """The tensors that a task is trained on, and those that it might have been.

    Attributes:
        task: Name of the task.
        method: The method with its options.
        seed: What drew the probe's order.
        model_params: Scalars of the whole model.
        model_tensors: Tensors of the whole model.
        tensors: The eligible tensors, in the order of the model.
        probe_identity: Name of the weights that the probe began with; absent where it is not known.
        start_identity: Name of the weights that training is to begin with; absent where it is not known.
        settings: What else the choice rests on, such as the steps of the probe.
    """

    task: str
    method: str
    seed: int
    model_params: int
    model_tensors: int
    tensors: tuple[PlannedTensor, ...]
    probe_identity: str | None = None
    start_identity: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    @property
    def chosen(self) -> tuple[PlannedTensor, ...]:
        """The tensors that are trained."""
        return tuple(tensor for tensor in self.tensors if tensor.chosen)

    @property
    def trained_params(self) -> int:
        """How many scalars are trained."""
        return sum(tensor.trained_params for tensor in self.tensors)

    @property
    def score_gap(self) -> float | None:
        """By how much the lowest score that was taken beats the highest that was not; absent without either.

        It is below 0 where tensors were passed over: because they have owners, or are larger than what was left.
        """
        taken = [tensor.score for tensor in self.tensors if tensor.chosen and tensor.score is not None]
        left = [tensor.score for tensor in self.tensors if not tensor.chosen and tensor.score is not None]
        return min(taken) - max(left) if taken and left else None

    def target_modules(self) -> tuple[str, ...]:
        """The modules that own the chosen weights, as peft's ``target_modules`` wants them.

        An adapter on these is ours and not the published method: call it LoRA on chosen modules.
        """
        return tuple(tensor.name.removesuffix(".weight") for tensor in self.chosen if tensor.name.endswith(".weight"))


def read_plan(file: Path) -> ParameterPlan:
    """The plan in a file.

    Raises:
        DamagedCheckpoint: If the file is missing or holds something else.
    """
    return read_document(ParameterPlan, file, "a plan of parameters", "write one with plan.model_dump_json()")
