"""A pull back to where training started, stronger on scalars that matter more to what the model already knows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from holdfast.core.errors import HoldfastError
from holdfast.core.record import Record
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch, Material

Measure = Callable[[Attachment, Sequence[Batch]], Mapping[str, Tensor]]
"""Measures how much every trainable scalar matters on some batches; in float32, at least 0."""


@dataclass(frozen=True)
class Anchoring(OnTop):
    """A method that pulls back by importance, as measured on examples of what the model already knows.

    The strengths that come as defaults were chosen on the miniature, on validation items; another model, rate or number
    of steps wants others, to be tried in factors of 3 to 10.

    Attributes:
        strength: Strength of the pull; 0 is the inner method alone.
        batches: Most batches of source that importance is measured on.
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

    def prepare(self, material: Material) -> None:
        """Measure importance.

        Raises:
            HoldfastError: If no scalar matters at all.
        """
        super().prepare(material)
        if self._measure is None or not self._strength:
            return
        known = list(islice(material.known(self._who), self._batches))
        found = self._measure(self.inner, known)
        count = sum(tensor.numel() for tensor in found.values())
        self._mean = sum(float(tensor.double().sum()) for tensor in found.values()) / count
        if not self._mean > 0:
            raise HoldfastError(
                f"{self._who}: no trainable scalar matters to what the model says on {len(known)} batches of source; "
                "is there anything to be learned in them?"
            )
        self._importance = {name: tensor / self._mean for name, tensor in found.items()}

    def pull(self) -> Tensor | None:
        if not self._strength:
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
