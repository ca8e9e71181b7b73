"""The gradient of sharpness-aware minimisation, against the formula written out."""

from __future__ import annotations

import pytest
import torch
from small import batch, bits, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.methods.asam import Asam
from holdfast.methods.sam import Sam
from holdfast.methods.widening.ascent import Ascent
from holdfast.testing.laws import small_model
from holdfast.weights.passes import take_gradient

RHO = 0.5


def loss_of(model: PreTrainedModel, seed: int) -> Tensor:
    return model(**batch(seed)).loss


def gradients(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: tensor.grad.clone() for name, tensor in model.named_parameters()}


def written_out(seeds: list[int], adaptive: bool) -> dict[str, Tensor]:
    """The sum of the gradients of micro-batches, each at the top of its own slope."""
    total: dict[str, Tensor] = {}
    for seed in seeds:
        model = small_model()
        loss_of(model, seed).backward()
        found = gradients(model)
        scale = {n: t.detach().abs() + 0.01 if adaptive else 1.0 for n, t in model.named_parameters()}
        length = torch.cat([(found[name] * scale[name]).flatten() for name in found]).norm()
        with torch.no_grad():
            for name, tensor in model.named_parameters():
                tensor.add_(found[name] * scale[name] ** 2, alpha=float(RHO / length))
        model.zero_grad()
        loss_of(model, seed).backward()
        for name, gradient in gradients(model).items():
            total[name] = total.get(name, 0) + gradient
    return total


@pytest.mark.parametrize("method", [Sam(rho=RHO), Asam(rho=RHO)], ids=lambda method: method.name)
def test_it_is_the_formula_for_every_micro_batch(model: PreTrainedModel, method: Sam) -> None:
    before, ascent = bits(model), method.displacement(model)
    losses = [
        take_gradient(ascent, lambda seed=seed: (loss := loss_of(model, seed), loss.backward())[0], 0, number)
        for number, seed in enumerate([1, 2])
    ]
    assert same_bits(bits(model), before)
    for name, expected in written_out([1, 2], isinstance(method, Asam)).items():
        torch.testing.assert_close(model.get_parameter(name).grad, expected, rtol=1e-4, atol=1e-6)
    for seed, loss in zip([1, 2], losses, strict=True):
        assert loss.item() == pytest.approx(loss_of(model, seed).item(), rel=1e-6)  # at the clean weights
    assert ascent.without_slope == 0


def test_climbing_makes_a_difference(model: PreTrainedModel) -> None:
    loss_of(model, 1).backward()
    clean = gradients(model)
    climbed = written_out([1], adaptive=False)
    assert any(float((climbed[name] - clean[name]).norm() / clean[name].norm()) > 0.01 for name in clean)


def test_a_scaler_cancels_out(model: PreTrainedModel) -> None:
    found = []
    for scale in (1.0, 1024.0):
        model.zero_grad()
        ascent = Ascent(model, RHO)
        take_gradient(ascent, lambda scale=scale: (scale * loss_of(model, 1)).backward(), 0)
        found.append({name: gradient / scale for name, gradient in gradients(model).items()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-6)


def test_without_rho_there_is_one_pass_at_the_clean_weights(model: PreTrainedModel) -> None:
    ascent, calls = Ascent(model, 0.0), []
    take_gradient(ascent, lambda: (calls.append(1), loss_of(model, 1).backward()), 0)
    found = gradients(model)
    model.zero_grad()
    loss_of(model, 1).backward()
    assert len(calls) == 1
    assert all(torch.equal(found[name], gradient) for name, gradient in gradients(model).items())


@pytest.mark.parametrize("factor", [0.0, float("inf"), float("nan")])
def test_where_there_is_no_slope_the_clean_gradient_is_handed_on_and_counted(
    model: PreTrainedModel, factor: float
) -> None:
    before, ascent = bits(model), Ascent(model, RHO)
    take_gradient(ascent, lambda: (factor * loss_of(model, 1)).backward(), 0)
    assert ascent.without_slope == 1
    assert same_bits(bits(model), before)
    expected = small_model()
    (factor * loss_of(expected, 1)).backward()
    for name, gradient in gradients(expected).items():
        assert torch.equal(model.get_parameter(name).grad.isfinite(), gradient.isfinite())


def test_a_tensor_that_no_token_reaches_climbs_nowhere(model: PreTrainedModel) -> None:
    model.unused = torch.nn.Parameter(torch.ones(3))
    take_gradient(Ascent(model, RHO), lambda: loss_of(model, 1).backward(), 0)
    assert model.unused.grad is None and model.model.norm.weight.grad is not None


@pytest.mark.parametrize("failing", [0, 1])
def test_what_was_added_up_before_a_pass_that_fails_is_still_there(model: PreTrainedModel, failing: int) -> None:
    loss_of(model, 3).backward()
    earlier, before, turns = gradients(model), bits(model), []

    def run() -> None:
        turns.append(1)
        if len(turns) > failing:
            raise KeyboardInterrupt
        loss_of(model, 1).backward()

    with pytest.raises(KeyboardInterrupt):
        take_gradient(Ascent(model, RHO), run, 0, 1)
    assert same_bits(bits(model), before)
    assert all(torch.equal(earlier[name], gradient) for name, gradient in gradients(model).items())


def test_a_micro_batch_after_one_that_was_cut_off_begins_at_clean_weights(model: PreTrainedModel) -> None:
    before, ascent = bits(model), Ascent(model, RHO)
    ascent.before_pass(0, 0, 0)
    loss_of(model, 1).backward()
    ascent.after_pass()
    ascent.before_pass(0, 0, 1)
    assert not same_bits(bits(model), before)
    ascent.before_pass(0, 1, 0)  # nobody said that the pass before is over
    assert same_bits(bits(model), before)


def test_the_first_gradient_is_gone_when_the_second_pass_begins(model: PreTrainedModel) -> None:
    ascent, held = Ascent(model, RHO), []
    take_gradient(ascent, lambda: (held.append(len(ascent._uphill)), loss_of(model, 1).backward()), 0)
    assert held == [0, 0] and not ascent._uphill


def test_biases_are_not_scaled_by_their_size() -> None:
    method = Asam()
    assert method._scale("q_proj.bias", torch.ones(2)) == 1.0
    assert torch.equal(method._scale("q_proj.weight", torch.tensor([-2.0])), torch.tensor([2.01]))  # type: ignore[arg-type]
