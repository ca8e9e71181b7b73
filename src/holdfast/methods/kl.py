"""KL: what the tuned model says on known text is pulled to what the base says there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from holdfast.core.errors import HoldfastError
from holdfast.core.record import Record
from holdfast.methods.importance import logits_of
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.weights.contracts import Attachment
from holdfast.weights.evaluating import evaluating
from holdfast.weights.material import Batch, Material
from holdfast.weights.past import PastStage


@dataclass(frozen=True)
class Kl(OnTop):
    """The penalty ``strength * KL(base || tuned)``, in nats a token, on one batch of known text a step.

    The usual form in preference training is the other direction, KL(tuned || base), on what the model itself says;
    here texts are given, and the base is matched where it puts probability. Tokens are those that count as learned in
    the source; on prompts of the target, those of the prompts. The base's answers come from the tensors as they were
    at the start, put into the same model for one forward pass: right for full training, for adapters, and for those
    that move the base, and no second model is loaded. Dropout is off in both passes.

    In a sequence the base is what the task began with, and source are examples of earlier tasks, with those that the
    recipe names; a first task without any is that of the inner method.

    Memory: the start, which the inner method keeps, converted for one pass where the base is in half precision; the
    logits of a batch twice. Time: two more forward passes and one backward pass a step.

    Attributes:
        strength: Weight of the penalty; 0 is the inner method alone.
        reverse: Take KL(tuned || base) instead.
        on_target: Where no source is given, use the prompts of the target instead of refusing.
    """

    name: ClassVar[str] = "kl"

    strength: float = 0.1
    reverse: bool = False
    on_target: bool = False

    @property
    def needs_source(self) -> bool:
        return (self.strength > 0 and not self.on_target) or super().needs_source

    def attach(self, model: nn.Module) -> KlAttachment:
        return KlAttachment(self.inner.attach(model), self)


class KlAttachment(OnTopAttachment):
    """An attachment whose answers on known text are pulled to those it gave at the start."""

    def __init__(self, inner: Attachment, method: Kl) -> None:
        super().__init__(inner)
        self._method = method
        self._batches: list[tuple[Batch, Tensor]] = []
        self._step = 0
        self._first = False
        self._latest: Tensor | None = None

    def own_follow(self, past: Sequence[PastStage]) -> None:
        """Take up whether there was anything before."""
        self._first = not past

    def prepare(self, material: Material) -> None:
        """Keep the batches, and which of their tokens count; texts are small beside a model.

        Raises:
            HoldfastError: If no token counts.
        """
        super().prepare(material)
        if not self._method.strength or (self._first and not self._has_any(material)):
            return
        known = list(material.source if self._method.on_target else material.known("kl"))
        batches = known or [batch for task in zip(*material.target.values(), strict=False) for batch in task]
        counted = [(batch, _learned(batch) if known else _asked(batch)) for batch in batches]
        self._batches = [(batch, tokens) for batch, tokens in counted if bool(tokens.any())]
        if not self._batches:
            raise HoldfastError("kl: the target has no prompts to compare the model with its base on; give source")

    def _has_any(self, material: Material) -> bool:
        return self._method.on_target or next(iter(material.source), None) is not None

    def before_forward(self, step: int, steps: int) -> None:
        """Take the batch of this step."""
        super().before_forward(step, steps)
        self._step = step

    def pull(self) -> Tensor | None:
        if not self._batches:
            return None
        batch, tokens = self._batches[self._step % len(self._batches)]
        with evaluating(self.model):
            tuned = _log_probabilities(self.model, batch, tokens)
            with torch.no_grad():
                base = _log_probabilities(self._base, batch, tokens)
        one, other = (tuned, base) if self._method.reverse else (base, tuned)
        divergence = (one.exp() * (one - other)).sum(-1).mean()
        self._latest = divergence.detach()
        return self._method.strength * divergence

    def facts(self) -> Sequence[Record]:
        """The divergence that the last step saw."""
        found = super().facts()
        if self._latest is None:
            return found
        return [*found, Record(subject="run", quantity="kl_at_end", value=float(self._latest), unit="nats/token")]

    def _base(self, **passed: Any) -> Any:
        """The model's answer with its trainable tensors as they were at the start."""
        start = self.initial()
        tensors = {name: start[name].to(tensor) for name, tensor in self.trainable().items()}
        return functional_call(self.model, tensors, kwargs=passed)


def _log_probabilities(call: Callable[..., Any], batch: Batch, tokens: Tensor) -> Tensor:
    """Log-probabilities of all next tokens, one row for every place where ``tokens`` says so."""
    return logits_of(call, batch)[:, :-1][tokens].log_softmax(-1)


def _learned(batch: Batch) -> Tensor:
    """The places whose next token is learned."""
    return batch["labels"][:, 1:] != -100


def _asked(batch: Batch) -> Tensor:
    """The places whose next token belongs to a prompt."""
    return batch["attention_mask"][:, 1:].bool() & ~_learned(batch)
