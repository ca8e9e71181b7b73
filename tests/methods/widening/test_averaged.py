"""Methods that average: what is saved, measured and ended with is the average, on top of any method."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import batch, bits, same_bits
from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError
from holdfast.measure.points import Checkpoint
from holdfast.methods.ema import Ema
from holdfast.methods.full import Full
from holdfast.methods.on_top import method_named
from holdfast.methods.swa import Swa
from holdfast.methods.widening.averaged import Averaged
from holdfast.testing.laws import broken_laws, small_model
from holdfast.weights.contracts import Attachment, Method

STEPS = 6


def trained(method: Method, upto: int = STEPS) -> tuple[Attachment, list[torch.Tensor]]:
    """A method after some steps of a plain loop, and one of its weights as the optimizer left it in each."""
    attachment = method.attach(small_model())
    optimizer = torch.optim.AdamW(attachment.trainable().values(), lr=1e-2)
    attachment.before_training(optimizer, STEPS)
    first, seen = next(iter(attachment.trainable().values())), []
    optimizer.register_step_post_hook(lambda *_: seen.append(first.detach().clone()))
    for step in range(upto):
        attachment.before_forward(step, STEPS)
        attachment.model(**batch(step)).loss.backward()
        attachment.after_backward(step, STEPS)
        optimizer.step()
        attachment.after_step(step, STEPS)
        optimizer.zero_grad()
    return attachment, seen


def test_the_optimizer_never_sees_the_average() -> None:
    _, plain = trained(Full())
    for method in (Ema(decay=0.5), Swa(start_frac=0.5)):
        _, seen = trained(method)
        assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))


def test_no_decay_is_the_inner_method_bit_for_bit() -> None:
    assert same_bits(bits(trained(Ema(decay=0.0))[0].model), bits(trained(Full())[0].model))


@pytest.mark.parametrize("upto", [4, STEPS])
def test_what_is_saved_on_the_way_and_at_the_end_is_the_average(tmp_path: Path, upto: int) -> None:
    attachment, seen = trained(Swa(start_frac=0.0), upto)
    expected = torch.stack(seen).mean(0)
    name = next(iter(attachment.trainable()))
    attachment.save(tmp_path)
    with Checkpoint(tmp_path).on(small_model()) as model:
        torch.testing.assert_close(model.get_parameter(name), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(attachment.update()[name].dense(), attachment.trainable()[name] - attachment.initial()[name])
    (fact,) = attachment.facts()
    assert (fact.quantity, fact.value) == ("averaged_steps", upto)


@pytest.mark.parametrize(
    "spec",
    [
        "swa(on='ewc')",
        *(
            pytest.param(s, marks=pytest.mark.slow)
            for s in ("ema(on='lora(r=2)')", "swa(on='pissa(r=2)')", "ema(on='go')")
        ),
    ],
)
def test_it_keeps_the_laws_on_top_of_other_methods(spec: str) -> None:
    assert broken_laws(method_named(spec)) == []


@pytest.mark.parametrize("method", [Ema(decay=1.5), Swa(start_frac=2)], ids=lambda method: method.name)
def test_options_that_cannot_be_average_nothing(model: PreTrainedModel, method: Averaged) -> None:
    with pytest.raises(RecipeError, match="must be below 1"):
        method.average(model)
