"""Methods that have gradients taken elsewhere, in the laws' loop and on top of others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import batch, bits, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import HoldfastError, RecipeError
from holdfast.methods.asam import Asam
from holdfast.methods.full import Full
from holdfast.methods.go import Go
from holdfast.methods.lora import Lora
from holdfast.methods.on_top import method_named
from holdfast.methods.sam import Sam
from holdfast.methods.widening.displaced import Displaced
from holdfast.testing.laws import broken_laws, small_model
from holdfast.weights.contracts import Attachment, Displacing, Method
from holdfast.weights.passes import take_gradient

TWICE = "below it has gradients taken elsewhere already; take one of them"
ETA = "asam: eta=-1.0 must be at least 0"


def train(
    method: Method, steps: int = 3, rate: float = 1e-2, accumulate: int = 2
) -> tuple[Attachment, dict[str, Tensor], list[Any]]:
    """A plain loop with accumulation and clipping: the attachment, its tensors, and the bits after every step."""
    torch.manual_seed(5)
    attachment = method.attach(small_model())
    tensors = attachment.trainable()
    optimizer = torch.optim.AdamW(tensors.values(), lr=rate, weight_decay=0.1 if rate else 0.0)
    attachment.before_training(optimizer, steps)
    seen = [bits(attachment.model)]
    for step in range(steps):
        attachment.before_forward(step, steps)
        for number in range(accumulate):
            rows = batch(10 * step + number)
            take_gradient(attachment, lambda rows=rows: attachment.model(**rows).loss.backward(), step, number)
        torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0)
        attachment.after_backward(step, steps)
        optimizer.step()
        attachment.after_step(step, steps)
        optimizer.zero_grad()
        seen.append(bits(attachment.model))
    return attachment, {name: tensor.detach().clone() for name, tensor in tensors.items()}, seen


@pytest.mark.parametrize("on", ["full", "lora(r=2, dropout=0.2)"])
@pytest.mark.parametrize("spec", ["go(sigma=0.0, on={!r})", "sam(rho=0.0, on={!r})", "asam(rho=0.0, on={!r})"])
def test_at_0_it_is_the_inner_method_bit_for_bit(spec: str, on: str) -> None:
    _, plain, _ = train(method_named(on))
    _, found, _ = train(method_named(spec.format(on)))
    assert all(torch.equal(tensor, found[name]) for name, tensor in plain.items())


@pytest.mark.parametrize("method", [Go(), Go(on="lora(r=2)"), Sam(), Asam(on="lora(r=2)")], ids=lambda m: m.spec())
def test_a_training_that_moves_nothing_begins_and_stays_at_the_base(method: Method) -> None:
    """Public code of GO takes a noisy copy for the clean one, and so begins elsewhere."""
    _, _, seen = train(method, rate=0.0)
    assert all(same_bits(seen[0], later) for later in seen[1:])


@pytest.mark.parametrize("method", [Go(sigma=0.05), Sam(rho=0.5), Asam()], ids=lambda method: method.spec())
def test_it_makes_a_difference(method: Method) -> None:
    _, plain, _ = train(Full())
    _, found, _ = train(method)
    assert any(float((tensor - found[name]).norm()) > 1e-3 for name, tensor in plain.items())


def test_noise_is_that_of_the_seed_that_torch_was_given_and_is_remembered() -> None:
    torch.manual_seed(11)
    first = Go().attach(small_model())
    torch.manual_seed(12)
    other = Go().attach(small_model())
    assert int(first.state()["own/seed"]) == 11 and int(other.state()["own/seed"]) == 12
    other.restore(first.state())
    for attachment in (first, other):
        attachment.before_pass(2, 1, 0)
    assert same_bits(bits(first.model), bits(other.model))


def test_a_method_in_between_or_below_hands_passes_on(model: PreTrainedModel) -> None:
    base = bits(model)
    attachment = method_named("l2_sp(on='go')").attach(model)
    assert isinstance(attachment, Displacing) and attachment.passes == 1
    attachment.before_pass(0, 0, 0)
    assert not same_bits(bits(model), base)
    attachment.after_pass()
    assert same_bits(bits(model), base)
    assert method_named("kl(on='sam')").attach(small_model()).passes == 2  # type: ignore[attr-defined]
    assert method_named("ema").attach(small_model()).passes == 1  # type: ignore[attr-defined]
    assert not isinstance(Lora(r=2).attach(small_model()), Displacing)


def test_a_base_is_given_back_in_the_middle_of_a_pass_too(model: PreTrainedModel) -> None:
    before = bits(model)
    attachment = Go().attach(model)
    attachment.before_pass(0, 0, 0)
    assert same_bits(bits(attachment.detach()), before)


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ("go(sigma=-1e-3)", ("go: sigma=-0.001 must be at least 0",)),
        ("go(sigma=True)", ("go: sigma=True must be a number",)),
        ("go(matrices_only=1)", ("go: matrices_only=1 must be True or False",)),
        ("sam(rho=-1)", ("sam: rho=-1 must be at least 0",)),
        ("asam(eta=-1.0, on='lora(r=0)')", (ETA, "asam: on: lora: r=0 must be above 0")),
        ("go(on='sam')", (f"go: sam {TWICE}",)),
        ("sam(on='l2_sp(on=\"asam\")')", (f"sam: asam {TWICE}",)),
        ("go(on='gmt')", ("go: nothing goes on top of gmt; put it outermost, as in gmt(on='go')",)),
        ("go(on='ema')", ("go: nothing goes on top of ema; put it outermost, as in ema(on='go')",)),
        ("ema(decay=1.0)", ("ema: decay=1.0 must be below 1",)),
        ("swa(start_frac=1.0)", ("swa: start_frac=1.0 must be below 1",)),
        ("swa(start_frac=-0.5)", ("swa: start_frac=-0.5 must be at least 0",)),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_told(spec: str, faults: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError) as caught:
        method_named(spec)
    assert caught.value.faults == faults


@pytest.mark.parametrize("method", [Go(sigma=-1.0), Sam(rho=-1.0), Asam(eta=-1.0)], ids=lambda method: method.name)
def test_options_that_cannot_be_displace_nothing(model: PreTrainedModel, method: Displaced) -> None:
    for use in (method.displacement, method.attach):
        with pytest.raises(RecipeError, match="must be at least 0"):
            use(model)


def test_it_tells_how_many_scalars_had_noise_and_how_often_there_was_no_slope() -> None:
    attachment, tensors, _ = train(Go(sigma=1e-3, matrices_only=True, on="layernorm"), steps=0)
    with pytest.raises(HoldfastError, match="finds none of 5 trained tensors"):
        attachment.facts()
    attachment, tensors, _ = train(Go(sigma=1e-3), steps=1)
    facts = {record.quantity: record for record in attachment.facts()}
    assert facts["noisy_params"].value == sum(tensor.numel() for tensor in tensors.values())
    assert 0 <= facts["noise_vanished_frac"].value < 0.01  # type: ignore[operator]
    facts = {record.quantity: record for record in train(Go(sigma=0.0), steps=1)[0].facts()}
    assert facts["noisy_params"].value == 0 and "a change of 0" in str(facts["noise_vanished_frac"].reason)
    facts = {record.quantity: record for record in train(Sam(), steps=1)[0].facts()}
    assert facts["micro_batches_without_slope"].value == 0


@pytest.mark.parametrize("spec", ["epi(on='go')", pytest.param("ewc(on='sam')", marks=pytest.mark.slow)])
def test_it_keeps_the_laws_among_other_methods(spec: str) -> None:
    assert broken_laws(method_named(spec)) == []
