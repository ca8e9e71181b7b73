"""What all methods built on a tuner share: counts, knobs, specs, faults, and a base that survives failures."""

from __future__ import annotations

import copy
from itertools import islice
from types import MappingProxyType

import pytest
import torch
from peft import LoraConfig
from small import ADAPTERS, METHODS, bits, moved, same_bits, tuner
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.core.spec import parse_spec
from holdfast.methods.adalora import AdaLora
from holdfast.methods.adapter import AdapterAttachment, linears
from holdfast.methods.frozen_a import FrozenA
from holdfast.methods.hra import Hra
from holdfast.methods.lora import Lora
from holdfast.methods.miss import Miss
from holdfast.methods.oft import Oft
from holdfast.methods.peft_tuner import PeftTuner
from holdfast.methods.ranked import RankedMethod
from holdfast.methods.vera import Vera
from holdfast.models.base import skeleton
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import count
from holdfast.weights.contracts import Method, Patterned, Planned


def test_adapters_go_on_all_linear_layers_but_the_head(model: PreTrainedModel) -> None:
    names = [name for name, _ in linears(model)]
    assert len(names) == 2 * 7
    assert "lm_head" not in names
    assert "model.layers.1.mlp.down_proj" in names


@pytest.mark.parametrize("spec", METHODS)
def test_what_a_skeleton_says_of_the_count_is_true_of_the_model(spec: str) -> None:
    if spec != "pissa":
        bones = skeleton("miniature")
        live = LlamaForCausalLM(LlamaConfig(**bones.config.to_dict()))
    else:
        bones = live = small_model()
    stated = METHODS[spec].parameters(bones)
    attachment = METHODS[spec].attach(live)
    if isinstance(attachment, Planned):
        assert count(attachment.model) >= stated, "until it has seen data, everything is free"
    else:
        assert count(attachment.model) == stated


def test_counting_does_not_touch_the_model(model: PreTrainedModel) -> None:
    before = bits(model)
    for method in METHODS.values():
        method.parameters(model)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("spec", METHODS)
def test_settings_come_with_fewest_parameters_first(model: PreTrainedModel, spec: str) -> None:
    counts = [setting.parameters(model) for setting in islice(METHODS[spec].settings(model), 5)]
    assert counts == sorted(counts)
    assert counts
    if METHODS[spec].knob is None:
        assert counts == [METHODS[spec].parameters(model)]


def test_a_knob_takes_every_useful_value(model: PreTrainedModel) -> None:
    def values(method: Method) -> list[int]:
        return [getattr(setting, str(method.knob)) for setting in method.settings(model)]

    assert values(Lora()) == list(range(1, 33))
    assert values(Miss()) == list(range(1, 33))
    assert values(Hra()) == list(range(2, 33, 2))
    assert values(AdaLora()) == list(range(1, 33))
    assert values(Oft()) == [2, 4, 8, 16, 32, 64]
    assert values(Vera()) == list(range(1, 257))


@pytest.mark.parametrize("spec", METHODS)
def test_a_spec_names_the_very_method(spec: str) -> None:
    method = METHODS[spec]
    assert method.spec() == spec or isinstance(method, PeftTuner)
    name, options = parse_spec(method.spec())
    if isinstance(method, PeftTuner):
        assert PeftTuner(name.partition(":")[2], MappingProxyType(options)) == method
    else:
        assert type(method)(**options) == method
        assert name == method.name


@pytest.mark.parametrize("spec", ADAPTERS)
def test_the_knob_is_the_only_thing_that_with_knob_changes(spec: str) -> None:
    method = ADAPTERS[spec]
    if method.knob is not None and not isinstance(method, PeftTuner):
        other = method.with_knob(4)
        assert getattr(other, method.knob) == 4
        assert other.with_knob(getattr(method, method.knob)) == method


@pytest.mark.parametrize(
    ("method", "faults"),
    [
        (Lora(r=0), ("lora: r=0 must be above 0",)),
        (Lora(r=-2, alpha=-1.0), ("lora: r=-2 must be above 0", "lora: alpha=-1.0 must be above 0")),
        (Lora(dropout=0.0), ()),
        (Lora(dropout=-0.1), ("lora: dropout=-0.1 must be at least 0",)),
        (Oft(block_size=0), ("oft: block_size=0 must be above 0",)),
        (Oft(exact=False), ()),
        (Hra(r=3), ("hra: r=3 is odd and would not start at the base; use an even number",)),
        (Hra(r=-2), ("hra: r=-2 must be above 0",)),
        (AdaLora(orthogonality=0.0, warmup_frac=0.0, settle_frac=0.0), ()),
        (AdaLora(orthogonality=-1.0), ("adalora: orthogonality=-1.0 must be at least 0",)),
        (
            Lora(use_rslora=True, rank_pattern=(("q_proj", 4),)),
            ("lora: use_rslora and rank_pattern scale layers differently; use one of them",),
        ),
    ],
)
def test_values_that_no_model_can_take_are_told(method: Method, faults: tuple[str, ...]) -> None:
    assert method.faults() == faults


def test_a_tuner_that_fails_half_way_leaves_the_base_whole(model: PreTrainedModel) -> None:
    # Names come in order: attention is wrapped before the norm at the end turns out not to be a layer for LoRA.
    before = bits(model)
    with pytest.raises(ValueError, match="is not supported"):
        AdapterAttachment(model, LoraConfig(target_modules=["q_proj", "norm"], task_type="CAUSAL_LM"))
    assert same_bits(bits(model), before)
    assert not hasattr(model, "peft_config")
    assert len(linears(model)) == 14


def test_attaching_again_after_detaching_works(model: PreTrainedModel) -> None:
    before = bits(model)
    for spec in ("lora", "pissa", "oft", "full", "lora"):
        moved(METHODS[spec], model).detach()
        assert same_bits(bits(model), before), spec


@pytest.mark.parametrize("spec", [spec for spec, method in ADAPTERS.items() if isinstance(method, RankedMethod)])
def test_one_rank_more_in_some_layers_costs_what_those_layers_cost(model: PreTrainedModel, spec: str) -> None:
    method = ADAPTERS[spec]
    if spec == "lora(use_rslora=True)":
        return
    assert isinstance(method, Patterned)
    kinds = method.kinds(model)
    assert kinds == ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    more = method.with_one_more(frozenset({"q_proj", "up_proj"}))
    trained = slice(1 if isinstance(method, FrozenA) else 2)  # outputs alone, where A is fixed
    wider = [layer.weight.shape for name, layer in linears(model) if name.endswith(("q_proj", "up_proj"))]
    extra = sum(sum(shape[trained]) for shape in wider)
    assert more.parameters(model) - method.parameters(model) == extra
    everywhere = method.with_one_more(frozenset(kinds))
    assert everywhere.parameters(model) == method.with_knob(method.r + 1).parameters(model)


def test_all_layers_have_the_same_scale_whatever_their_rank(model: PreTrainedModel) -> None:
    attachment = Lora(r=4, alpha=12, rank_pattern=(("q_proj", 5), ("up_proj", 7))).attach(model)
    scales = {
        layer.scaling["default"]
        for layer in attachment.model.modules()
        if isinstance(getattr(layer, "scaling", None), dict)
    }
    assert scales == {3.0}


@pytest.mark.parametrize("spec", ADAPTERS)
def test_only_the_adapter_is_trained(model: PreTrainedModel, spec: str) -> None:
    attachment = ADAPTERS[spec].attach(model)
    base = {id(tensor) for tensor in model.get_input_embeddings().parameters()}
    assert not base & {id(tensor) for tensor in attachment.trainable().values()}
    assert count(attachment.model) < sum(tensor.numel() for tensor in attachment.model.parameters())


def test_prompt_learning_is_attached_and_taken_off(model: PreTrainedModel) -> None:
    before = bits(model)
    attachment = tuner("prompt_tuning", num_virtual_tokens=3).attach(model)
    assert attachment.model(input_ids=torch.arange(4)[None]).logits.shape[1] == 3 + 4
    attachment.detach()
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_biases_of_the_base_are_in_the_update_and_are_given_back(bias: str) -> None:
    config, inputs = small_model().config, torch.arange(24).reshape(2, 12)
    config.attention_bias = True
    model = LlamaForCausalLM(config).eval()
    before, plain = bits(model), copy.deepcopy(model)
    attachment = AdapterAttachment(model, LoraConfig(r=4, target_modules=["q_proj"], bias=bias, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.add_(0.1)
    update, path = attachment.update(), attachment.path()
    assert sum(name.endswith(".bias") for name in update) == (8 if bias == "all" else 2)
    with torch.inference_mode():
        wanted = attachment.model.eval()(input_ids=inputs).logits
        assert path.at(0).norm() == 0 and path.at(1).norm() == pytest.approx(update.norm())
        with update.added_to(plain):
            torch.testing.assert_close(plain(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)
    assert same_bits(bits(attachment.detach()), before)


@pytest.mark.parametrize("fails", [True, False])
def test_a_base_in_training_is_in_training_again(model: PreTrainedModel, fails: bool) -> None:
    model.model.layers[0].train()
    modes = [module.training for module in model.modules()]
    try:
        attachment = AdapterAttachment(
            model, LoraConfig(target_modules=["q_proj", *["norm"] * fails], task_type="CAUSAL_LM")
        )
        attachment.model.eval()
        assert attachment.detach() is model
    except ValueError:
        assert fails
    assert [module.training for module in model.modules()] == modes
