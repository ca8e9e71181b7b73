"""Noise of GO: fresh for every micro-batch, a function of its keys alone, and the gradients that it makes."""

from __future__ import annotations

import math

import pytest
import torch
from small import bits, same_bits
from torch import nn
from transformers import PreTrainedModel

from holdfast.algebra.normals import normal
from holdfast.core.errors import NotMeasurable
from holdfast.methods.lora import Lora
from holdfast.methods.widening.noise import GaussianNoise


class Loss(nn.Module):
    """A loss of one tensor."""

    def __init__(self, start: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(start)

    def gradient(self, noise: GaussianNoise, step: int, power: int) -> torch.Tensor:
        self.weights.grad = None
        with noise.at(step):
            self.weights.pow(power).sum().backward()
        return self.weights.grad


def test_noise_is_what_its_keys_say_in_the_precision_of_the_weights(model: PreTrainedModel) -> None:
    model.to(torch.bfloat16)
    start = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    with GaussianNoise(model, sigma=0.01, seed=7).at(3, 2):
        for name, tensor in model.named_parameters():
            drawn = normal(7, f"{name} 3 2", 0, tensor.numel()).view(tensor.shape)
            assert torch.equal(tensor, (start[name].float() + 0.01 * drawn).to(torch.bfloat16))


def test_every_micro_batch_step_and_seed_has_noise_of_its_own(model: PreTrainedModel) -> None:
    name = "model.norm.weight"
    drawn = [
        GaussianNoise(model, 1.0, seed).direction(step, micro)[name].dense()
        for seed, step, micro in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (0, 11, 0), (0, 1, 10)]
    ]
    drawn.append(GaussianNoise(model, 1.0).direction(0)["model.layers.0.input_layernorm.weight"].dense())
    correlations = torch.corrcoef(torch.stack(drawn)).fill_diagonal_(0)
    assert correlations.abs().max() < 0.5  # 64 scalars: a standard error of an eighth


def test_noise_is_the_same_whatever_was_drawn_before_and_leaves_generators_alone(model: PreTrainedModel) -> None:
    one, other = GaussianNoise(model, 0.1, 5), GaussianNoise(model, 0.1, 5)
    torch.manual_seed(1)
    expected = float(torch.rand(()))
    torch.manual_seed(1)
    for step in range(3):
        with one.at(step):
            pass
    with one.at(3, 1):
        seen = bits(model)
    with other.at(3, 1):
        assert same_bits(bits(model), seen)
    assert float(torch.rand(())) == expected


def test_processes_side_by_side_meet_noise_of_their_own(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = GaussianNoise(model, 1.0)
    later = [alone.direction(0, number)["model.norm.weight"].dense() for number in (4, 5)]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        assert torch.equal(alone.direction(0, 2)["model.norm.weight"].dense(), later[rank])


def test_an_adapter_has_noise_on_its_own_tensors_and_none_on_the_base(model: PreTrainedModel) -> None:
    attachment = Lora(r=2).attach(model)
    before = bits(attachment.model)
    with GaussianNoise(attachment.model, 0.1).at(0):
        after = bits(attachment.model)
    moved = {name for name in before if not torch.equal(before[name][2], after[name][2])}
    assert moved == set(attachment.trainable())


def test_without_sigma_nothing_happens_at_all(model: PreTrainedModel) -> None:
    noise, versions = GaussianNoise(model, 0.0), [tensor._version for tensor in model.parameters()]
    with noise.at(0):
        assert [tensor._version for tensor in model.parameters()] == versions
    with pytest.raises(NotMeasurable, match="a change of 0"):
        noise.rounding()


def test_norms_may_be_left_out(model: PreTrainedModel) -> None:
    left = set(GaussianNoise(model, 0.1).tensors) - set(GaussianNoise(model, 0.1, matrices_only=True).tensors)
    assert left == {name for name, tensor in model.named_parameters() if tensor.dim() == 1}


def test_the_expected_gradient_is_that_of_the_smoothed_quadratic() -> None:
    """E over noise of (w + e)^2 is w^2 + sigma^2: the gradient is 2 w, whatever sigma is."""
    loss, sigma, draws = Loss(torch.tensor([1.5, -0.5, 0.0])), 0.4, 400
    noise = GaussianNoise(loss, sigma)
    found = torch.stack([loss.gradient(noise, step, 2) for step in range(draws)])
    error = 2 * sigma / math.sqrt(draws)
    torch.testing.assert_close(found.mean(0), torch.tensor([3.0, -1.0, 0.0]), rtol=0.0, atol=4 * error)
    torch.testing.assert_close(found.std(0), torch.full((3,), 2 * sigma), rtol=0.2, atol=0.0)


def test_the_expected_gradient_of_a_quartic_is_that_of_the_smoothed_one_and_not_the_clean_one() -> None:
    """E over noise of (w + e)^4 has the gradient 4 w^3 + 12 w sigma^2; here over 100,000 scalars at one value."""
    w, sigma, count = 0.7, 0.5, 100_000
    loss = Loss(torch.full((count,), w))
    found = loss.gradient(GaussianNoise(loss, sigma), 0, 4).double()
    smoothed, clean = 4 * w**3 + 12 * w * sigma**2, 4 * w**3
    error = float(found.std()) / math.sqrt(count)
    assert abs(float(found.mean()) - smoothed) < 4 * error
    assert abs(float(found.mean()) - clean) > 40 * error


def test_how_much_of_the_noise_is_lost_to_rounding_is_told(model: PreTrainedModel) -> None:
    assert GaussianNoise(model, 1e-3).rounding().vanished_frac < 0.01
    assert GaussianNoise(model.to(torch.bfloat16), 1e-6).rounding().vanished_frac > 0.5
