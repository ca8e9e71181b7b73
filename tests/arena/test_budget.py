"""Every method comes as near to the budget as its knob allows, and those that cannot are called so."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel, Qwen2Config

from holdfast.arena.budget import Settled, budget_of, settle
from holdfast.core import registry
from holdfast.core.errors import RecipeError
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.methods.peft_tuner import PeftTuner
from holdfast.weights.adapter import count
from holdfast.weights.contracts import Method
from holdfast.weights.quiet import quiet


@cache
def bench() -> PreTrainedModel:
    """Two layers of width 64 with grouped heads off: all seven linears, LoRA r8 trains 17,408 parameters."""
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


@cache
def catalogue() -> dict[str, Method]:
    return {name: registry.lookup("methods", name)() for name in registry.names("methods") if name != "peft"}


@cache
def settled(name: str, budget: int = 17_408, model: PreTrainedModel | None = None) -> Settled:
    method = PeftTuner(tuner=name.removeprefix("peft:")) if name.startswith("peft:") else catalogue()[name]
    return settle(method, model or bench(), budget, 0.02)


@pytest.mark.parametrize(
    ("method", "trains", "standing"),
    [
        ("lora", 17_408, "exact"),
        ("dora", 17_408, "exact"),
        ("pissa", 17_408, "exact"),
        ("adalora", 17_520, "within"),
        ("miss", 17_280, "within"),
        ("oft", 15_872, "coarse"),
        ("boft", 17_536, "within"),
        ("hra", 16_384, "coarse"),
        ("ia3", 1_280, "capped"),
        ("layernorm", 320, "capped"),
        ("full", 98_624, "unbudgeted"),
        ("peft:loha", 17_408, "exact"),
        ("peft:delora", 17_422, "exact"),
        ("peft:randlora", 15_232, "coarse"),
    ],
)
def test_methods_reach_the_budget_as_far_as_they_can(method: str, trains: int, standing: str) -> None:
    found = settled(method)
    assert (found.trainable_params, found.standing) == (trains, standing)


@pytest.mark.parametrize(
    "method", ["lora", "dora", "oft", "boft", "hra", "ia3", "miss", "layernorm", "vera", "adalora"]
)
def test_the_count_is_that_of_a_really_wrapped_model(method: str) -> None:
    found = settled(method)
    model = AutoModelForCausalLM.from_config(bench().config)
    with quiet():
        assert count(found.method.attach(model).model) == found.trainable_params


def test_no_other_setting_of_the_knob_is_nearer() -> None:
    found = settled("miss", budget=5_000)
    gap = abs(found.trainable_params - 5_000)
    others = [setting.parameters(bench()) for setting in catalogue()["miss"].settings(bench())]
    assert gap == min(abs(other - 5_000) for other in others)


def test_a_count_that_falls_as_the_knob_rises_is_found_too() -> None:
    found = settled("peft:randlora", budget=5_000)
    method = PeftTuner(tuner="randlora")
    others = [setting.parameters(bench()) for setting in method.settings(bench())]
    assert replace(method, options={"r": 1}).parameters(bench()) > replace(method, options={"r": 9}).parameters(bench())
    assert abs(found.trainable_params - 5_000) == min(abs(other - 5_000) for other in others)


def test_a_budget_below_the_smallest_setting_names_that_setting() -> None:
    smallest = Lora(r=1).parameters(bench())
    with pytest.raises(RecipeError, match=f"its smallest setting trains {smallest:,}.*give budget: {smallest} or more"):
        settled("lora", budget=100)


def test_a_budget_can_be_a_number_or_a_method() -> None:
    assert budget_of(12_345, catalogue(), bench()) == 12_345
    assert budget_of("12_345", catalogue(), bench()) == 12_345
    assert budget_of("lora-r8", catalogue(), bench()) == 17_408
    assert budget_of("full", catalogue(), bench()) == Full().parameters(bench())
    assert budget_of("oft-b32", catalogue(), bench()) == Oft(block_size=32).parameters(bench())


@pytest.mark.parametrize("asked", ["lora", "lora-8", "nosuch-r8", "0", "-5", "ia3-r8"])
def test_a_budget_that_means_nothing_is_refused(asked: str) -> None:
    with pytest.raises(RecipeError, match="neither a number of parameters nor a method"):
        budget_of(asked, catalogue(), bench())


QWEN_7B = Qwen2Config(
    hidden_size=3584,
    intermediate_size=18_944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    vocab_size=152_064,
)


@pytest.mark.parametrize(
    ("spec", "published"),
    [
        ("lora-r8", 20_185_088),
        ("dora-r8", 21_575_680),
        ("adalora-i12", 30_279_984),
        ("miss-r8", 11_124_736),
        ("oft-b32", 17_554_432),
    ],
)
def test_counts_on_the_shapes_of_qwen_7b_are_those_published(spec: str, published: int) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(QWEN_7B)
    assert budget_of(spec, catalogue(), model) == published


def test_ia3_on_the_shapes_of_qwen_7b_counts_as_published() -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(QWEN_7B)
    assert catalogue()["ia3"].parameters(model) == 1_820_672
