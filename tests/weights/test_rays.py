"""Directions of a model's weights: one distance means one thing on all of them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from small import bits, moved, same_bits, tuner
from torch import nn
from transformers import PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.noise import Noise
from holdfast.core.errors import NotMeasurable
from holdfast.methods.lora import Lora
from holdfast.weights.path import Path
from holdfast.weights.perturbing.movable import in_blocks
from holdfast.weights.rays import Ray, gaussian, proportional, spaced_distances, toward
from holdfast.weights.update import Update

Q = "model.layers.0.self_attn.q_proj.weight"


def size(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def small_update(factor: float = 1.0) -> Update:
    return Update(
        {Q: LowRank(factor * torch.ones(64, 2), torch.ones(2, 64)), "model.norm.weight": Dense(torch.ones(64))}
    )


def test_a_ray_is_a_path_from_the_base(model: PreTrainedModel) -> None:
    ray = gaussian(model, 1)
    assert isinstance(ray, Path) and ray.label == "gaussian"
    model.model.norm.weight.data[0] = -0.0
    before = bits(model)
    with ray.at(0).added_to(model):
        assert same_bits(bits(model), before)
    assert torch.equal(ray.at(0.5)[Q].dense(), 0.5 * Noise((64, 64), 1, Q).dense())


def test_noise_is_on_every_weight_and_is_as_long_as_it_was_drawn(model: PreTrainedModel) -> None:
    ray = gaussian(model, 1)
    assert list(ray.update) == [name for name, _ in model.named_parameters()] and ray.left_out == ()
    assert ray.d == size(model)
    assert ray.length == pytest.approx(ray.update.norm()) and ray.length != math.sqrt(ray.d)
    assert ray.length == pytest.approx(math.sqrt(ray.d), abs=4 * math.sqrt(0.5))


def test_tied_weights_count_once(model: PreTrainedModel) -> None:
    free = gaussian(model, 1)
    model.lm_head.weight = model.model.embed_tokens.weight
    ray = gaussian(model, 1)
    assert "lm_head.weight" not in ray.update and ray.d == free.d - 128 * 64


def test_distances_and_norms_are_two_names_of_one_thing(model: PreTrainedModel) -> None:
    ray = gaussian(model, 1)
    assert ray.norm(-0.5) == pytest.approx(ray.at(-0.5).norm())
    assert ray.distance(ray.norm(0.3)) == pytest.approx(0.3)


def test_a_weight_has_the_same_noise_whatever_else_moves_and_under_an_adapter(model: PreTrainedModel) -> None:
    whole = gaussian(model, 1).update[Q].dense()
    assert torch.equal(gaussian(model, 1, in_blocks(0)).update[Q].dense(), whole)
    adapted = moved(Lora(), model).model
    (name,) = (name for name, _ in adapted.named_parameters() if name.endswith("0.self_attn.q_proj.base_layer.weight"))
    assert torch.equal(gaussian(adapted, 1, name.__eq__).update[name].dense(), whole)


def test_what_is_left_out_is_told(model: PreTrainedModel) -> None:
    ray = gaussian(model, 1, in_blocks(1))
    assert all(name.startswith("model.layers.1.") for name in ray.update)
    assert set(ray.left_out) == {name for name, _ in model.named_parameters()} - set(ray.update)
    assert ray.d == size(model.model.layers[1])


def test_seeds_have_directions_of_their_own_that_are_nearly_at_right_angles(model: PreTrainedModel) -> None:
    flat = [
        torch.cat([change.dense().flatten() for change in gaussian(model, seed).update.values()]) for seed in (1, 2)
    ]
    assert abs(float(torch.corrcoef(torch.stack(flat))[0, 1])) < 4 / math.sqrt(size(model))


def test_noise_in_proportion_follows_the_size_of_each_tensor(model: PreTrainedModel) -> None:
    with torch.no_grad():
        model.get_parameter(Q).mul_(10)
    ray = proportional(model, 1)
    sizes = {name: float(weight.detach().square().mean().sqrt()) for name, weight in model.named_parameters()}
    overall = math.sqrt(sum(sizes[name] ** 2 * w.numel() for name, w in model.named_parameters()) / size(model))
    for name, change in ray.update.items():
        assert torch.allclose(change.dense(), sizes[name] / overall * Noise(change.shape, 1, name).dense(), rtol=1e-5)
    assert ray.label == "proportional" and ray.d == size(model)
    assert ray.length == pytest.approx(math.sqrt(ray.d), rel=0.1)


def test_noise_in_proportion_to_nothing_is_refused() -> None:
    layer = nn.Linear(2, 2)
    nn.init.zeros_(layer.weight)
    with pytest.raises(NotMeasurable, match="noise in proportion to weights that are all 0; take noise that is alike"):
        proportional(layer, 1, "weight".__eq__)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_the_way_to_a_fine_tune_is_as_long_as_noise_and_passes_through_it(
    model: PreTrainedModel, factor: float
) -> None:
    update = small_update(factor)
    ray = toward(update, model)
    assert ray.d == size(model) and ray.length == pytest.approx(math.sqrt(ray.d), rel=1e-6)
    there = ray.at(ray.distance(update.norm()))
    for name, change in update.items():
        torch.testing.assert_close(there[name].dense(), change.dense())


def test_the_way_may_be_kept_to_a_layer(model: PreTrainedModel) -> None:
    ray = toward(small_update(), model, in_blocks(0), label="benign")
    assert list(ray.update) == [Q] and ray.d == size(model.model.layers[0]) and ray.label == "benign"
    assert ray.length == pytest.approx(math.sqrt(ray.d), rel=1e-6)


@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf")])
def test_an_update_that_leads_nowhere_is_refused(model: PreTrainedModel, factor: float) -> None:
    update = Update({Q: Dense(torch.full((64, 64), factor))})
    said = f"the way toward an update whose norm on the weights chosen is {factor:g}: it has no direction"
    with pytest.raises(NotMeasurable, match=said):
        toward(update, model)


def test_an_update_that_does_not_move_the_weights_chosen_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(NotMeasurable, match="is 0: it has no direction"):
        toward(small_update(), model, in_blocks(1))


def test_a_random_move_in_few_dimensions_may_be_as_many_times_longer_a_scalar(model: PreTrainedModel) -> None:
    """On a quadratic loss the norm decides, so that the basin grows as the root of the share of dimensions."""
    whole, part = gaussian(model, 1), gaussian(model, 1, in_blocks(0))
    assert part.distance(whole.norm(0.01)) / 0.01 == pytest.approx(math.sqrt(whole.d / part.d), rel=0.02)


def test_distances_are_spaced_evenly_in_their_logarithm() -> None:
    found = spaced_distances(1e-7, 1e-2, 11)
    assert found[0] == 1e-7 and found[-1] == 1e-2 and len(found) == 11
    assert [b / a for a, b in itertools.pairwise(found)] == pytest.approx([10**0.5] * 10)
    assert spaced_distances(1, 2, 2) == (1, 2)


@pytest.mark.parametrize(("least", "most", "points"), [(0, 1, 3), (-1, 1, 3), (1, 1, 3), (1, 2, 1), (1, math.inf, 3)])
def test_distances_that_cannot_be_spaced_are_refused(least: float, most: float, points: int) -> None:
    with pytest.raises(
        ValueError, match=rf"{points} distances from {least:g} to {most:g}: two or more, from above 0 up"
    ):
        spaced_distances(least, most, points)


def test_a_ray_under_an_adapter_moves_its_tensors_alone(model: PreTrainedModel) -> None:
    adapted = moved(tuner("loha"), model).model
    ray = gaussian(adapted, 1, lambda name: "hada_w1_b" in name)
    assert isinstance(ray, Ray) and ray.update and all("hada_w1_b" in name for name in ray.update)
