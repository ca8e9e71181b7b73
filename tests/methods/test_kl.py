"""The divergence from the base is that of explicit loops over tokens, with the base as it was at the start."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small import batch
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import BadData, HoldfastError
from holdfast.methods.kl import Kl
from holdfast.testing.laws import small_model
from holdfast.weights.material import Material

SOURCE = [batch(1), batch(2)]


def attached(method: Kl, material: Material, by: float = 0.05) -> Any:
    torch.manual_seed(3)
    attachment = method.attach(small_model())
    attachment.prepare(material)
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.add_(by * torch.randn_like(tensor))
    attachment.model.train()
    return attachment


def slow(
    tuned: Any, base: PreTrainedModel, given: dict[str, Tensor], *, reverse: bool = False, asked: bool = False
) -> float:
    terms = []
    for row, mask, labels in zip(given["input_ids"], given["attention_mask"], given["labels"], strict=True):
        length = int(mask.sum())
        with torch.inference_mode():
            p = base(input_ids=row[None, :length]).logits[0].double().softmax(-1)
            q = tuned(input_ids=row[None, :length]).logits[0].double().softmax(-1)
        if reverse:
            p, q = q, p
        for at in range(1, length):
            if (int(labels[at]) == -100) == asked:
                terms.append(float(sum(a * (a / b).log() for a, b in zip(p[at - 1], q[at - 1], strict=True))))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("on", ["full", "lora(r=2, dropout=0.5)", "pissa(r=2)", "oft(block_size=16)", "ia3"])
def test_it_is_the_mean_divergence_of_learned_tokens_from_the_base(on: str, reverse: bool) -> None:
    attachment = attached(Kl(on=on, strength=0.5, reverse=reverse), Material(source=SOURCE))
    for step in (0, 1, 2):
        attachment.before_forward(step, 3)
        found = attachment.penalty().item()
        attachment.model.eval()
        wanted = 0.5 * slow(attachment.model, small_model(), SOURCE[step % 2], reverse=reverse)
        attachment.model.train()
        assert found == pytest.approx(wanted, rel=1e-3)
        assert found > 1e-5


def test_its_gradient_is_that_of_the_tuned_model_alone() -> None:
    attachment = attached(Kl(strength=2.0), Material(source=SOURCE[:1]))
    attachment.before_forward(0, 1)
    names, tensors = zip(*attachment.trainable().items(), strict=True)
    found = dict(zip(names, torch.autograd.grad(attachment.penalty(), tensors), strict=True))
    twin = copy.deepcopy(attachment.model).eval()
    with torch.no_grad():
        base = small_model()(**{k: v for k, v in SOURCE[0].items() if k != "labels"}).logits[:, :-1].log_softmax(-1)
    now = twin(**{k: v for k, v in SOURCE[0].items() if k != "labels"}).logits[:, :-1].log_softmax(-1)
    counts = SOURCE[0]["labels"][:, 1:] != -100
    (2.0 * torch.nn.functional.kl_div(now[counts], base[counts], log_target=True, reduction="batchmean")).backward()
    for name, tensor in twin.named_parameters():
        torch.testing.assert_close(found[name], tensor.grad, rtol=1e-3, atol=1e-6)


def test_at_the_start_there_is_none_and_it_pulls_at_nothing() -> None:
    attachment = attached(Kl(), Material(source=SOURCE), by=0.0)
    attachment.before_forward(0, 1)
    penalty = attachment.penalty()
    assert abs(penalty.item()) < 1e-6
    gradients = torch.autograd.grad(penalty, list(attachment.trainable().values()))
    assert max(float(gradient.abs().max()) for gradient in gradients) < 1e-6


def test_dropout_draws_no_random_number() -> None:
    attachment = attached(Kl(on="lora(r=2, dropout=0.5)"), Material(source=SOURCE))
    attachment.before_forward(0, 1)
    state = torch.get_rng_state()
    one, other = attachment.penalty().item(), attachment.penalty().item()
    assert one == other
    assert torch.equal(torch.get_rng_state(), state)
    assert attachment.model.training


def test_without_source_the_prompts_of_all_targets_stand_in_where_that_is_asked_for() -> None:
    target = {"one": [batch(3), batch(4)], "other": [batch(5)]}
    attachment = attached(Kl(strength=1.0, on_target=True), Material(target))
    for step, given in enumerate([batch(3), batch(5)]):
        attachment.before_forward(step, 2)
        found = attachment.penalty().item()
        attachment.model.eval()
        assert found == pytest.approx(slow(attachment.model, small_model(), given, asked=True), rel=1e-3)


def test_where_there_is_source_the_target_is_not_looked_at() -> None:
    attachment = attached(Kl(strength=1.0, on_target=True), Material({"one": [batch(3)]}, SOURCE[:1]))
    attachment.before_forward(0, 1)
    found = attachment.penalty().item()
    attachment.model.eval()
    assert found == pytest.approx(slow(attachment.model, small_model(), SOURCE[0]), rel=1e-3)


def test_without_source_it_says_what_to_give() -> None:
    with pytest.raises(BadData, match=r"^kl draws on examples of what the model already knows"):
        attached(Kl(), Material({"one": [batch(3)]}))


def test_a_target_without_prompts_cannot_stand_in() -> None:
    with pytest.raises(HoldfastError, match="kl: the target has no prompts to compare the model with its base on"):
        attached(Kl(strength=1.0, on_target=True), Material({"one": [batch(3, prompt=0)]}))


def test_without_strength_nothing_is_looked_at_and_nothing_pulls() -> None:
    attachment = attached(Kl(strength=0.0), Material())
    attachment.before_forward(0, 1)
    assert attachment.penalty() is None
    assert list(attachment.facts()) == []


def test_the_facts_tell_the_divergence_that_was_seen_last() -> None:
    attachment = attached(Kl(strength=0.25), Material(source=SOURCE))
    attachment.before_forward(1, 2)
    penalty = attachment.penalty().item()
    (fact,) = attachment.facts()
    assert (fact.quantity, fact.unit) == ("kl_at_end", "nats/token")
    assert fact.value == pytest.approx(penalty / 0.25)
