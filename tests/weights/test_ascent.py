"""The direction in which a loss grows most within a distance."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from small import batch, bits, same_bits
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.weights.ascent import worst_case
from holdfast.weights.path import Path
from holdfast.weights.perturbing.movable import in_blocks
from holdfast.weights.perturbing.sweep import perturbed
from holdfast.weights.rays import gaussian


def answering(model: nn.Module) -> Tensor:
    loss: Tensor = model(**batch(1)).loss
    return loss


def point(*at: float) -> nn.Linear:
    layer = nn.Linear(len(at), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([at]))
    return layer


def bowl(layer: nn.Module) -> Tensor:
    """Steep along the second axis, flat along the first."""
    weight = layer.get_parameter("weight")[0]
    return weight[0] ** 2 + 100 * weight[1] ** 2


def test_on_a_plane_it_is_the_gradient() -> None:
    layer = point(3.0, -1.0)
    found = worst_case(layer, lambda one: 3 * one.weight[0, 0] - 4 * one.weight[0, 1], 0.5)
    torch.testing.assert_close(found.ray.update["weight"].dense(), math.sqrt(2) * torch.tensor([[0.6, -0.8]]))
    assert found.losses[-1] - found.losses[0] == pytest.approx(5 * 0.5 * math.sqrt(2), rel=1e-5)
    assert found.distance == 0.5 and len(found.losses) == 31


def test_in_a_bowl_it_is_the_steep_axis_wherever_it_starts() -> None:
    found = worst_case(point(1e-3, 1e-3), bowl, 1.0)
    direction = found.ray.update["weight"].dense()[0] / math.sqrt(2)
    assert abs(float(direction[1])) > 0.99
    assert all(b > a for a, b in itertools.pairwise(found.losses[:10]))


def test_every_step_has_its_length_and_none_leaves_the_ball() -> None:
    seen: list[Tensor] = []

    def watched(layer: nn.Module) -> Tensor:
        seen.append(layer.get_parameter("weight").detach().clone()[0])
        return bowl(layer)

    worst_case(point(0.0, 0.1), watched, 2.0, steps=5)
    radius, start = 2.0 * math.sqrt(2), seen[0]
    lengths = [float((one - start).norm()) for one in seen]
    assert lengths == pytest.approx([0, radius / 2, radius, radius, radius, radius], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_language_model_is_hurt_more_than_by_chance_and_left_as_it_was(
    model: PreTrainedModel, dtype: torch.dtype
) -> None:
    before = bits(model.to(dtype))
    found = worst_case(model, answering, 1e-3, steps=5)
    assert same_bits(bits(model), before)
    assert all(weight.grad is None for weight in model.parameters())
    assert isinstance(found.ray, Path) and found.ray.label == "worst case"
    assert found.ray.length == pytest.approx(math.sqrt(found.ray.d), rel=1e-5)

    def at(update_seed: int | None) -> float:
        way = found.ray if update_seed is None else gaussian(model, update_seed)
        with perturbed(model, way.update, 1e-3), torch.no_grad():
            return float(answering(model))

    clean = float(answering(model).detach())
    assert found.losses[0] == pytest.approx(clean)
    assert found.losses[-1] == pytest.approx(at(None), rel=1e-2)
    assert at(None) - clean > 5 * max(abs(at(seed) - clean) for seed in range(3))


def test_it_may_be_kept_to_a_layer_and_flags_are_given_back(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        weight.requires_grad_("norm" in name)
    before = bits(model)
    found = worst_case(model, answering, 1e-3, in_blocks(1), steps=2)
    assert same_bits(bits(model), before)
    assert all(name.startswith("model.layers.1.") for name in found.ray.update)
    assert found.ray.d == sum(weight.numel() for weight in model.model.layers[1].parameters())
    assert "model.norm.weight" in found.ray.left_out


def test_the_same_is_found_again(model: PreTrainedModel) -> None:
    one, other = (worst_case(model, answering, 1e-3, steps=3) for _ in range(2))
    assert one.losses == other.losses
    assert all(torch.equal(change.dense(), other.ray.update[name].dense()) for name, change in one.ray.update.items())


def test_weights_that_the_loss_does_not_read_stay() -> None:
    pair = nn.ModuleDict({"read": point(1.0), "unread": point(1.0)})
    found = worst_case(pair, lambda both: both["read"].weight.sum(), 1.0, steps=2)  # type: ignore[index]
    assert not found.ray.update["unread.weight"].dense().any()
    assert found.ray.update["read.weight"].norm() == pytest.approx(math.sqrt(2))


def test_the_model_is_what_it_was_after_an_interrupt(model: PreTrainedModel) -> None:
    before, asked = bits(model), []

    def interrupted(one: nn.Module) -> Tensor:
        asked.append(one)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return answering(one)

    with pytest.raises(KeyboardInterrupt):
        worst_case(model, interrupted, 1e-3)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize(("distance", "steps"), [(0.0, 3), (-1.0, 3), (math.nan, 3), (math.inf, 3), (1.0, 0)])
def test_a_ball_without_room_is_refused(distance: float, steps: int) -> None:
    with pytest.raises(
        ValueError, match=rf"a worst case {distance:g} away, in {steps} steps: a distance above 0 and a"
    ):
        worst_case(point(1.0), bowl, distance, steps=steps)


def test_a_loss_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(NotMeasurable, match="the loss does not depend on the weights that are to be moved"):
        worst_case(point(1.0), lambda one: torch.ones(()), 1.0)
    with pytest.raises(NotMeasurable, match="the gradient of the loss has a norm of 0: no direction leads upwards"):
        worst_case(point(0.0, 0.0), bowl, 1.0)
    with pytest.raises(NotMeasurable, match="the loss is nan on the way to a worst case; take a smaller distance"):
        worst_case(point(1.0), lambda one: one.weight.sum() * math.nan, 1.0)
