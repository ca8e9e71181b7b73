"""Ways out of a model lead where their directions say, and back to the very weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from small import bits, same_bits
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.core.errors import NotMeasurable
from holdfast.measure.basin import ways
from holdfast.measure.basin.ways import adapter_way, identity_of_update, layer_ways, random_way, toward_way, worst_way
from holdfast.weights.perturbing.sweep import perturbed
from holdfast.weights.quiet import quiet
from holdfast.weights.rays import gaussian
from holdfast.weights.update import Update


def moved_by(model: PreTrainedModel, before: dict[str, Any]) -> set[str]:
    now = bits(model)
    return {name for name in now if not torch.equal(now[name][2], before[name][2])}


def test_a_random_way_is_the_noise_of_its_seed(tiny: PreTrainedModel) -> None:
    before = bits(tiny)
    with random_way(tiny).walking() as walk:
        for sigma, seed in ((0.1, 1), (0.2, 1), (0.1, 2), (0.1, 1)):
            found = bits(walk.to(sigma, seed))
            walk.leave()
            with perturbed(tiny, gaussian(tiny, seed).update, sigma):
                assert same_bits(bits(tiny), found)
        assert same_bits(bits(walk.to(0, 0)), before)
    assert same_bits(bits(tiny), before)


def test_one_sweep_serves_all_distances_of_a_direction(tiny: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    sweeping = ways.sweeping
    monkeypatch.setattr(ways, "sweeping", lambda model, update: (begun.append(1), sweeping(model, update))[1])
    with random_way(tiny).walking() as walk:
        for seed in (1, 2):
            for sigma in (0.1, 0.2, 0.3):
                walk.to(sigma, seed)
    assert len(begun) == 2


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_the_weights_are_given_back_after_a_fault(tiny: PreTrainedModel, fault: type[BaseException]) -> None:
    before = bits(tiny)
    with pytest.raises(fault), random_way(tiny).walking() as walk:
        walk.to(0.5, 1)
        raise fault
    assert same_bits(bits(tiny), before)


def test_who_writes_into_the_model_on_the_way_is_found_out(tiny: PreTrainedModel) -> None:
    tiny.register_buffer("tally", torch.zeros(1))
    with pytest.raises(NotMeasurable, match="not after a sweep what it was before"), random_way(tiny).walking() as walk:
        walk.to(0.1, 1).get_buffer("tally").fill_(1)


def test_a_way_of_a_layer_moves_that_layer_alone(tiny: PreTrainedModel) -> None:
    before = bits(tiny)
    found = layer_ways(tiny)
    assert [way.direction for way in found] == ["layer 0", "layer 1"]
    for number, way in enumerate(found):
        with way.walking() as walk:
            assert moved_by(walk.to(0.1, 1), before) == {name for name in before if f"layers.{number}." in name}
    assert len({way.key for way in found}) == 2


def test_a_worst_case_is_sought_anew_at_every_distance(tiny: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sought: list[float] = []
    found = ways.worst_case
    monkeypatch.setattr(
        ways,
        "worst_case",
        lambda model, loss, sigma, steps: (sought.append(sigma), found(model, loss, sigma, steps=steps))[1],
    )

    def loss(model: nn.Module) -> Tensor:
        return -model.get_parameter("lm_head.weight")[0, 0]

    before, way = bits(tiny), worst_way(tiny, loss, 3, {"ability": "a"})
    start = float(tiny.get_parameter("lm_head.weight").detach()[0, 0])
    d = sum(weight.numel() for weight in tiny.parameters())
    with way.walking() as walk:
        for sigma in (0.1, 0.3):
            fallen = start - float(walk.to(sigma, 0).get_parameter("lm_head.weight").detach()[0, 0])
            assert fallen == pytest.approx(sigma * math.sqrt(d), rel=1e-4)
    assert same_bits(bits(tiny), before) and not way.random and sought == [0.1, 0.3]
    assert way.key != worst_way(tiny, loss, 4, {"ability": "a"}).key != worst_way(tiny, loss, 4, {"ability": "b"}).key


def test_the_way_to_a_fine_tune_leads_to_it(tiny: PreTrainedModel) -> None:
    name = "lm_head.weight"
    change = torch.randn(tiny.get_parameter(name).shape)
    update = Update({name: Dense(change)})
    way = toward_way(tiny, update, "runs/a", identity_of_update(update))
    there = way.ray(0, 0).distance(update.norm())
    assert way.direction == "toward runs/a"
    goal = tiny.get_parameter(name).detach() + change
    with way.walking() as walk:
        torch.testing.assert_close(walk.to(there, 0).get_parameter(name).detach(), goal)
    other = identity_of_update(Update({name: Dense(change + 1e-3)}))
    assert toward_way(tiny, update, "runs/a", other).key != way.key
    assert other != identity_of_update(update) == identity_of_update(Update({name: Dense(change.clone())}))


def test_the_way_of_an_adapter_moves_its_b_alone(tiny: PreTrainedModel) -> None:
    with quiet():
        adapter = get_peft_model(tiny, LoraConfig(r=2, target_modules=["q_proj"]))
    before = bits(adapter)
    with adapter_way(adapter, "runs/a").walking() as walk:
        found = moved_by(walk.to(0.1, 1), before)
    assert found == {name for name in before if ".lora_B." in name} and found
    assert same_bits(bits(adapter), before)


def test_quantised_weights_are_refused_at_once(tiny: PreTrainedModel) -> None:
    tiny.config.quantization_config = {"quant_method": "some"}
    with pytest.raises(NotMeasurable, match=r"are quantised and have no neighbours: .* or move an adapter on it"):
        random_way(tiny)
