"""A pull back to where training started, stronger on scalars that matter more to what the model already knows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from holdfast.core.errors import HoldfastError
from holdfast.core.record import Record
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.methods.own_weights import require_own_weights
from holdfast.methods.turns import in_turns
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch, Material
from holdfast.weights.past import PastStage

Measure = Callable[[Attachment, Sequence[Batch]], Mapping[str, Tensor]]
"""Measures how much every trainable scalar matters on some batches; in float32, at least 0."""


@dataclass(frozen=True)
class Anchoring(OnTop):
    """A method that pulls back by importance, as measured on examples of what the model already knows.

    The strengths that come as defaults were chosen on the miniature, on validation items; another model, rate or number
    of steps wants others, to be tried in factors of 3 to 10.

    In a sequence of tasks there is no need for source: every task leaves the importance that scalars have for it, as
    measured at its end on its own batches, over its mean, so that all tasks count alike. A later task is pulled back
    to where it began, by the sum over all before it. That is the online form, with one running sum and one place to be
    pulled to; nothing is forgotten of the sum. A first task without source is that of the inner method; with source,
    the importance for that is part of the sum from then on. Source that comes with later tasks is not looked at. It
    takes the weights themselves: an adapter is a fresh one in every task.

    Attributes:
        strength: Strength of the pull; 0 is the inner method alone.
        batches: Most batches that importance is measured on, of source or of a task.
    """

    strength: float = 0.01
    batches: int = 64

    @property
    def needs_source(self) -> bool:
        return self.strength > 0 or super().needs_source

    @abstractmethod
    def measure(self, attachment: Attachment, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        """How much every trainable scalar matters on these batches; in float32, at least 0."""

    def attach(self, model: nn.Module) -> AnchoredAttachment:
        inner = self.inner.attach(model)
        return AnchoredAttachment(inner, self.strength, self.measure, who=self.name, batches=self.batches)


class AnchoredAttachment(OnTopAttachment):
    """An attachment with the pull ``strength / 2 * sum(importance * (tensor - start)^2)`` over trainable tensors.

    Importance is divided by its mean over all trainable scalars, so that a strength means as much whatever measured it,
    and where all scalars count alike. Without a strength nothing is measured and nothing pulls.

    The start is what the inner attachment keeps anyway. Memory: one float32 copy of the trainable tensors where
    importance is measured, and for the time of a step one or two more for the pull and its gradient.

    Args:
        inner: The attachment that moves the weights.
        strength: Strength of the pull.
        measure: Measures importance on examples of what the model already knows; all scalars count alike without.
        who: The method, for messages.
        batches: Most batches that it is measured on.
    """

    def __init__(
        self, inner: Attachment, strength: float, measure: Measure | None = None, *, who: str = "", batches: int = 0
    ) -> None:
        super().__init__(inner)
        self._strength, self._measure, self._who, self._batches = strength, measure, who, batches
        self._importance: dict[str, Tensor] = {}
        self._mean: float | None = None
        self._past: Sequence[PastStage] | None = None
        self._target: Mapping[str, Iterable[Batch]] = {}

    def own_follow(self, past: Sequence[PastStage]) -> None:
        """Take up that there is a sequence; what its latest task left is read when it is needed.

        Raises:
            HoldfastError: If there is an adapter.
        """
        if self._weighs:
            require_own_weights(self.model, self._who, "the importance")
        self._past = tuple(past)

    def prepare(self, material: Material) -> None:
        """Measure importance on source, or take up what earlier tasks of a sequence left.

        Raises:
            HoldfastError: If no scalar matters at all, or what was left is of other tensors.
        """
        super().prepare(material)
        if not self._weighs:
            return
        self._target = material.target
        if self._past:
            self._importance = self._left_by(self._past[-1])
            return
        if self._past is not None and next(iter(material.source), None) is None:
            return
        known = list(islice(material.known(self._who), self._batches))
        found = self._measured(known)
        self._mean = self._mean_of(found, f"{len(known)} batches of source")
        self._importance = {name: tensor / self._mean for name, tensor in found.items()}

    def own_keepsake(self) -> Mapping[str, Tensor]:
        """The sum of the importance for all tasks so far, this one's included.

        Raises:
            HoldfastError: If no scalar matters to this task.
        """
        if not self._weighs:
            return {}
        own = self.importance_of_task()
        mean = self._mean_of(own, "the batches of its task")
        return {name: (tensor / mean + self._importance.get(name, 0)).cpu() for name, tensor in own.items()}

    def importance_of_task(self) -> Mapping[str, Tensor]:
        """How much every trainable scalar matters to the task that has been trained; in float32, at least 0."""
        return self._measured(in_turns(self._target, self._batches))

    @property
    def in_sequence(self) -> bool:
        """Whether what this task leaves will be asked for."""
        return self._weighs and self._past is not None

    def pull_at(self, name: str, tensor: Tensor) -> Tensor | float:
        """The gradient that the pull has in a tensor, were it where it is said to be."""
        if name not in self._importance:
            return 0.0
        return (
            self._strength * self._importance[name] * (tensor.float() - self.initial()[name].to(tensor.device).float())
        )

    @property
    def _weighs(self) -> bool:
        """Whether scalars count by importance, and do pull."""
        return self._measure is not None and self._strength > 0

    def _measured(self, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        assert self._measure is not None, "all scalars count alike: there is nothing to be measured"
        return self._measure(self.inner, batches)

    def _mean_of(self, found: Mapping[str, Tensor], where: str) -> float:
        count = sum(tensor.numel() for tensor in found.values())
        mean = sum(float(tensor.double().sum()) for tensor in found.values()) / count
        if not mean > 0:
            raise HoldfastError(
                f"{self._who}: no trainable scalar matters to what the model says on {where}; "
                "is there anything to be learned in them?"
            )
        return mean

    def _left_by(self, stage: PastStage) -> dict[str, Tensor]:
        left, tensors = stage.keepsake(), self.trainable()
        for name, tensor in tensors.items():
            if name not in left or left[name].shape != tensor.shape:
                raise HoldfastError(
                    f"{self._who}: task '{stage.task}' left no importance of shape {tuple(tensor.shape)} for '{name}': "
                    "train all tasks of a sequence with one method on one model"
                )
        return {name: left[name].to(tensor.device) for name, tensor in tensors.items()}

    def pull(self) -> Tensor | None:
        if not self._strength or (self._measure and not self._importance):
            return None
        start = self.initial()
        terms = []
        for name, tensor in self.trainable().items():
            moved = (tensor.float() - start[name].to(tensor.device).float()).square()
            terms.append((moved * self._importance[name] if self._measure else moved).sum())
        return 0.5 * self._strength * torch.stack(terms).sum()

    def facts(self) -> Sequence[Record]:
        """How strong the pull is in the end, and what importance was divided by."""
        found = list(super().facts())
        with torch.no_grad():
            pull = self.pull()
        if pull is not None:
            found.append(Record(subject="run", quantity="pull_at_end", site=self._who, value=float(pull), unit="nats"))
        if self._mean is not None:
            found.append(Record(subject="run", quantity="importance_mean", site=self._who, value=self._mean))
        return found
