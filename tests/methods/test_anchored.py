"""Pulls back to the start: their value, their gradient, what they are told by, and that they hold training back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small import batch
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import BadData, HoldfastError
from holdfast.methods.anchored import AnchoredAttachment, Anchoring
from holdfast.methods.ewc import Ewc
from holdfast.methods.full import Full
from holdfast.methods.importance import fisher
from holdfast.methods.l2_sp import L2Sp
from holdfast.methods.mas import Mas
from holdfast.methods.on_top import OnTop
from holdfast.methods.si import Si
from holdfast.testing.laws import small_model
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Material

KNOWN = Material(source=[batch(1), batch(2)])
PULLS: list[OnTop] = [L2Sp(strength=0.3), Ewc(strength=0.3), Mas(strength=0.3), Si(strength=0.3, steps=3)]


def nudge(attachment: Attachment, by: float = 0.05) -> None:
    torch.manual_seed(6)
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.add_(by * torch.randn_like(tensor))


def weights(method: OnTop, inner: Attachment) -> dict[str, Tensor]:
    """Importance over its mean, worked out once more on a model of its own."""
    if not isinstance(method, Anchoring):
        return {name: torch.ones_like(tensor) for name, tensor in inner.trainable().items()}
    raw = method.measure(inner, list(KNOWN.source))
    mean = torch.cat([tensor.flatten().double() for tensor in raw.values()]).mean()
    return {name: (tensor.double() / mean).float() for name, tensor in raw.items()}


@pytest.mark.parametrize("on", ["full", "lora(r=2)"])
@pytest.mark.parametrize("method", PULLS, ids=lambda method: method.name)
def test_the_pull_and_its_gradient_are_those_of_a_weighted_square(method: OnTop, on: str) -> None:
    method = replace(method, on=on)
    torch.manual_seed(3)
    attachment = method.attach(small_model())
    attachment.prepare(KNOWN)
    torch.manual_seed(3)
    wanted = weights(method, method.inner.attach(small_model()))
    nudge(attachment)
    tensors, start = attachment.trainable(), attachment.initial()
    penalty = attachment.penalty()
    assert penalty is not None
    value = sum(
        0.5 * 0.3 * float(w) * float(now - then) ** 2
        for name, tensor in tensors.items()
        for w, now, then in zip(
            wanted[name].flatten()[:200].tolist(),
            tensor.detach().flatten()[:200].tolist(),
            start[name].flatten()[:200].tolist(),
            strict=True,
        )
    )
    whole = sum(
        0.5 * 0.3 * (wanted[name].double() * (tensor.detach().double() - start[name].double()) ** 2).sum()
        for name, tensor in tensors.items()
    )
    assert 0 < value <= float(whole) * 1.001
    assert penalty.item() == pytest.approx(float(whole), rel=1e-4)
    for (name, tensor), gradient in zip(
        tensors.items(), torch.autograd.grad(penalty, list(tensors.values())), strict=True
    ):
        torch.testing.assert_close(gradient, 0.3 * wanted[name] * (tensor.detach() - start[name]), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("method", PULLS, ids=lambda method: method.name)
def test_at_the_start_nothing_pulls(method: OnTop, model: PreTrainedModel) -> None:
    attachment = method.attach(model)
    attachment.prepare(KNOWN)
    penalty = attachment.penalty()
    assert penalty is not None and penalty.item() == 0.0


@pytest.mark.parametrize("method", PULLS, ids=lambda method: method.name)
def test_without_strength_nothing_is_looked_at_and_nothing_pulls(method: OnTop, model: PreTrainedModel) -> None:
    method = replace(method, strength=0.0)  # type: ignore[call-arg]
    attachment = method.attach(model)
    attachment.prepare(Material())
    assert attachment.penalty() is None
    assert attachment.facts() == []


@pytest.mark.parametrize("method", PULLS[1:], ids=lambda method: method.name)
def test_without_source_what_draws_on_it_says_what_to_give(method: OnTop, model: PreTrainedModel) -> None:
    with pytest.raises(
        BadData, match=rf"^{method.name} draws on examples of what the model already knows.*give source"
    ):
        method.attach(model).prepare(Material())


def test_no_more_batches_are_looked_at_than_asked_for(model: PreTrainedModel) -> None:
    attachment = Ewc(batches=1).attach(model)
    attachment.prepare(KNOWN)
    alone = fisher(Full().attach(small_model()), [batch(1)], "sequence")
    mean = sum(float(t.double().sum()) for t in alone.values()) / sum(t.numel() for t in alone.values())
    assert {f.quantity: f.value for f in attachment.facts()}["importance_mean"] == pytest.approx(mean, rel=1e-5)


def test_the_facts_tell_the_pull_in_the_end_and_what_importance_was_divided_by(model: PreTrainedModel) -> None:
    attachment = Ewc().attach(model)
    attachment.prepare(KNOWN)
    nudge(attachment)
    pull, mean = attachment.facts()
    penalty = attachment.penalty()
    assert penalty is not None
    assert (pull.quantity, pull.site, pull.unit, pull.value) == ("pull_at_end", "ewc", "nats", penalty.item())
    assert (mean.quantity, mean.site) == ("importance_mean", "ewc")


def test_importance_that_is_zero_everywhere_is_refused(model: PreTrainedModel) -> None:
    def nowhere(attachment: Attachment, batches: object) -> dict[str, Tensor]:
        return {name: torch.zeros_like(tensor) for name, tensor in attachment.trainable().items()}

    attachment = AnchoredAttachment(Full().attach(model), 1.0, nowhere, who="mas", batches=5)
    with pytest.raises(HoldfastError, match=r"mas: no trainable scalar matters .* on 2 batches of source"):
        attachment.prepare(KNOWN)


def test_a_mean_importance_of_one_makes_strengths_comparable(model: PreTrainedModel) -> None:
    attachment = Ewc().attach(model)
    attachment.prepare(KNOWN)
    found = torch.cat([tensor.flatten() for tensor in attachment._importance.values()])
    assert float(found.double().mean()) == pytest.approx(1.0)


def test_a_model_in_half_precision_is_pulled_to_the_very_base() -> None:
    attachment = L2Sp().attach(small_model().bfloat16())
    penalty = attachment.penalty()
    assert penalty is not None and penalty.item() == 0.0 and penalty.dtype == torch.float32


def test_two_pulls_on_top_of_each_other_are_added() -> None:
    both = L2Sp(strength=0.2, on="l2_sp(strength=0.1)").attach(small_model())
    one = L2Sp(strength=0.3).attach(small_model())
    for attachment in (both, one):
        nudge(attachment)
    assert both.penalty().item() == pytest.approx(one.penalty().item(), rel=1e-5)  # type: ignore[union-attr]
