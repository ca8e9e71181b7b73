"""Which tensors a task is to be trained on, and what the choice rests on: made once, used on any machine."""

from __future__ import annotations

from typing import Any

from pydantic import Field, FiniteFloat

from holdfast.core.document import Document


class PlannedTensor(Document):
    """One eligible tensor of the model.

    Attributes:
        name: As in ``model.named_parameters()``.
        params: How many scalars it has.
        chosen: Whether the task is trained on it.
        score: What tensors were ranked by, the higher the sooner; absent in a plan that was written by hand.
        signals: What the score was made of, by name, such as ``l2_rms`` and ``fisher``.
        owners: Earlier tasks that were trained on it.
    """

    name: str
    params: int
    chosen: bool
    score: FiniteFloat | None = None
    signals: dict[str, FiniteFloat] = Field(default_factory=dict)
    owners: tuple[str, ...] = ()


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
