"""Noise on the B of a LoRA: normal in the weights, on a support that is known."""

from __future__ import annotations

import math

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from small import bits, moved, same_bits, tuner
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.noise import Noise
from holdfast.core.errors import NotMeasurable
from holdfast.methods.dora import Dora
from holdfast.methods.lora import Lora
from holdfast.testing.laws import small_model
from holdfast.weights.adapter_rays import displacement_of_b, frozen_a, live_frozen_a
from holdfast.weights.merging import update_of
from holdfast.weights.perturbing.sweep import perturbed
from holdfast.weights.quiet import quiet
from holdfast.weights.update import Update

Q = "model.layers.0.self_attn.q_proj.weight"


def adapted(model: PreTrainedModel) -> PeftModel:
    return moved(Lora(), model).model


def a_of(adapter: PeftModel, name: str) -> tuple[float, Tensor]:
    layer = adapter.get_base_model().get_submodule(name.removesuffix(".weight"))
    return layer.scaling["default"], layer.lora_A["default"].weight.detach()


def test_noise_on_a_live_adapter_moves_b_and_nothing_else(model: PreTrainedModel) -> None:
    adapter = adapted(model)
    ray, before = live_frozen_a(adapter, 1), bits(adapter)
    assert ray.label == "frozen A" and ray.update and all(".lora_B." in name for name in ray.update)
    assert ray.d == sum(weight.numel() for name, weight in adapter.named_parameters() if ".lora_B." in name)
    with perturbed(adapter, ray.update, 0.1):
        now = bits(adapter)
        assert {name for name in now if not torch.equal(now[name][2], before[name][2])} == set(ray.update)
    assert same_bits(bits(adapter), before)


def test_noise_in_the_weights_is_that_of_the_live_adapter(model: PreTrainedModel, inputs: Tensor) -> None:
    adapter = adapted(model)
    start = update_of(adapter)
    live, ray = live_frozen_a(adapter, 1), frozen_a(adapter, 1)
    assert ray.d == live.d
    with perturbed(adapter, live.update, 0.3):
        there = update_of(adapter)
        with torch.inference_mode():
            said = adapter(input_ids=inputs).logits
    assert ray.update.keys() == there.keys() and not set(ray.left_out) & ray.update.keys()
    for name, change in ray.at(0.3).items():
        torch.testing.assert_close(change.dense(), there[name].dense() - start[name].dense(), rtol=1e-4, atol=1e-5)
    base = small_model()
    with start.plus(ray.at(0.3)).added_to(base), torch.inference_mode():
        torch.testing.assert_close(base(input_ids=inputs).logits, said, rtol=1e-4, atol=1e-4)


def test_what_is_left_out_are_the_other_weights_of_the_base(model: PreTrainedModel) -> None:
    names = {name for name, _ in model.named_parameters()}
    ray = frozen_a(adapted(model), 1)
    assert set(ray.left_out) | set(ray.update) == names and Q in ray.update


def test_noise_in_the_weights_is_normal_with_the_covariance_of_a(model: PreTrainedModel) -> None:
    adapter = adapted(model)
    scale, right = a_of(adapter, Q)
    rows = torch.cat([frozen_a(adapter, seed).update[Q].dense() for seed in range(40)])
    wanted = scale**2 * right.T @ right
    assert torch.linalg.norm(rows.T @ rows / len(rows) - wanted) < 0.15 * torch.linalg.norm(wanted)


def test_the_displacement_of_a_fine_tune_is_that_of_its_b(model: PreTrainedModel) -> None:
    adapter = adapted(model)
    ray = live_frozen_a(adapter, 1)
    with perturbed(adapter, ray.update, 0.3):
        there = update_of(adapter)
    moved_by = Update({name: Dense(there[name].dense() - start.dense()) for name, start in update_of(adapter).items()})
    assert displacement_of_b(moved_by, adapter) == pytest.approx(ray.norm(0.3), rel=1e-3)
    assert displacement_of_b(frozen_a(adapter, 1).at(0.3), adapter) == pytest.approx(ray.norm(0.3), rel=1e-5)
    assert displacement_of_b(Update({}), adapter) == 0


def test_where_a_has_rows_that_depend_on_each_other_the_shortest_displacement_counts(model: PreTrainedModel) -> None:
    adapter = adapted(model)
    _, right = a_of(adapter, Q)
    right[1] = right[0]
    scale, left = a_of(adapter, Q)[0], torch.zeros(64, right.shape[0])
    left[:, 0] = 1.0
    found = displacement_of_b(Update({Q: LowRank(scale * left, right)}), adapter)
    assert found == pytest.approx(math.sqrt(64 * (0.5**2 + 0.5**2)), rel=1e-4)


def test_an_update_outside_of_the_noise_is_refused(model: PreTrainedModel) -> None:
    adapter = adapted(model)
    inside = frozen_a(adapter, 1).at(0.1)
    outside = inside.plus(Update({Q: Dense(0.01 * Noise((64, 64), 1, Q).dense())}))
    said = rf"of the change of '{Q}' lies outside of the rows of A, where the noise never goes: no certificate covers"
    with pytest.raises(NotMeasurable, match=said):
        displacement_of_b(outside, adapter)
    with pytest.raises(NotMeasurable, match=r"'model.norm.weight' moved, and the noise never moves it: no certificate"):
        displacement_of_b(Update({"model.norm.weight": Dense(torch.ones(64))}), adapter)
    assert displacement_of_b(Update({"model.norm.weight": Dense(torch.zeros(64))}), adapter) == 0


def test_the_base_may_be_quantised_under_a_live_adapter(model: PreTrainedModel) -> None:
    adapter = adapted(model)
    adapter.get_base_model().config.quantization_config = {"quant_method": "gptq"}
    assert live_frozen_a(adapter, 1).d


@pytest.mark.parametrize("method", [Dora(), tuner("loha")])
def test_other_adapters_are_refused(model: PreTrainedModel, method: Lora) -> None:
    adapter = moved(method, model).model
    for make in (frozen_a, live_frozen_a):
        with pytest.raises(NotMeasurable, match="that is not of plain LoRA: noise on it is not normal in the weights"):
            make(adapter, 1)


def test_a_model_without_an_adapter_is_refused(model: PreTrainedModel) -> None:
    with pytest.raises(NotMeasurable, match="the model has no LoRA on it, whose A could be frozen"):
        live_frozen_a(model, 1)


def test_weights_that_are_kept_the_other_way_round_are_moved_alive_only() -> None:
    config = GPT2Config(vocab_size=32, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
    lora = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    with quiet():
        adapter = get_peft_model(GPT2LMHeadModel(config), lora)
    assert live_frozen_a(adapter, 1).d == 24 * 2
    with pytest.raises(
        NotMeasurable, match="a weight that is kept the other way round: noise is put on its adapter al"
    ):
        frozen_a(adapter, 1)
