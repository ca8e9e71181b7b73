"""Raw adapters of plain peft that took part of the base out of it: read truly, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.config import CordaConfig, KasaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from safetensors.torch import load_file, save_file
from small import bits, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import read_adapter
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.moving import CONFIG, WEIGHTS, configuration, moves_base
from holdfast.weights.quiet import quiet

pytestmark = pytest.mark.filterwarnings(
    "ignore:lora with eva initialization",
    "ignore:`init_lora_weights` is 'eva'",
    "ignore:`corda_config` specified but will be ignored",
    "ignore:CorDA changes the base weights",
    "ignore:Full backward hook is firing",
)
IDS = torch.arange(24).reshape(2, 12)


def plain(**options: object) -> Callable[[PreTrainedModel], PeftModel]:
    """How peft puts a LoRA on a model."""
    return lambda base: get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], **options))


def corda(base: PreTrainedModel) -> PeftModel:
    config = LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], init_lora_weights="corda", corda_config=CordaConfig()
    )
    preprocess_corda(base, config, run_model=lambda: [base(input_ids=row[None]) for row in IDS])
    return get_peft_model(base, config)


def lora_ga(base: PreTrainedModel) -> PeftModel:
    config = LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig()
    )
    preprocess_loraga(base, config, lambda: base(input_ids=IDS, labels=IDS).loss.backward())
    return get_peft_model(base, config)


READ: dict[str, Callable[[PreTrainedModel], PeftModel]] = {
    "lora": plain(),
    "gaussian": plain(init_lora_weights="gaussian"),
    "orthogonal": plain(init_lora_weights="orthogonal"),
    "eva": plain(init_lora_weights="eva"),
    "mica": plain(init_lora_weights="mica"),
    "pissa": plain(init_lora_weights="pissa"),
    "olora": plain(init_lora_weights="olora"),
    "kasa": plain(kasa_config=KasaConfig()),
}
"""Ways to begin that a folder tells in full."""

LOST: dict[str, tuple[Callable[[PreTrainedModel], PeftModel], str]] = {
    "pissa_niter_4": (
        plain(init_lora_weights="pissa_niter_4"),
        "what a random sketch finds in each weight, drawn anew whenever it is loaded",
    ),
    "corda": (corda, "directions found from data, which the folder does not hold"),
    "lora_ga": (lora_ga, "directions found from gradients, which the folder does not hold"),
}
"""Ways to begin that a folder does not tell, and what it lacks."""


def raw(
    folder: Path, make: Callable[[PreTrainedModel], PeftModel], base: PreTrainedModel | None = None, **save: str
) -> Tensor:
    """An adapter as plain peft trains and saves it; what the live model says."""
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(7)
        attached = make(small_model() if base is None else base)
        attached.save_pretrained(str(folder.parent / "fresh"))
        learner = torch.optim.SGD([tensor for tensor in attached.parameters() if tensor.requires_grad], lr=0.5)
        for _ in range(3):
            learner.zero_grad()
            attached(input_ids=IDS, labels=IDS).loss.backward()
            learner.step()
        attached.eval()
        with torch.inference_mode():
            said: Tensor = attached(input_ids=IDS).logits
        attached.save_pretrained(str(folder), **save)
    return said


@pytest.mark.parametrize("start", READ)
def test_what_follows_from_the_base_is_read_truly_and_the_base_does_not_notice(
    tmp_path: Path, model: PreTrainedModel, start: str
) -> None:
    wanted = raw(tmp_path / "adapter", READ[start])
    before = bits(model)
    with checkpoint_on(tmp_path / "adapter", model) as tuned, torch.inference_mode():
        torch.testing.assert_close(tuned(input_ids=IDS).logits, wanted, rtol=1e-4, atol=2e-6)
    assert same_bits(bits(model), before)
    update = read_adapter(tmp_path / "adapter", model)
    assert same_bits(bits(model), before)
    assert len(update) == 4
    with torch.inference_mode():
        assert float((model(input_ids=IDS).logits - wanted).abs().max()) > 1e-3
        with update.added_to(model):
            torch.testing.assert_close(model(input_ids=IDS).logits, wanted, rtol=1e-4, atol=2e-6)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("start", ["pissa", "kasa"])
def test_a_moved_base_of_half_precision_is_bit_for_bit_what_it_was(tmp_path: Path, start: str) -> None:
    raw(tmp_path / "adapter", READ[start], small_model().bfloat16())
    model = small_model().bfloat16()
    before = bits(model)
    read_adapter(tmp_path / "adapter", model)
    assert same_bits(bits(model), before)
    with checkpoint_on(tmp_path / "adapter", model) as tuned:
        weight = tuned.get_base_model().model.layers[0].self_attn.q_proj.get_base_layer().weight
        assert not torch.equal(weight, small_model().bfloat16().model.layers[0].self_attn.q_proj.weight)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("start", LOST)
def test_what_a_folder_does_not_tell_is_refused_with_the_reason(
    tmp_path: Path, model: PreTrainedModel, start: str
) -> None:
    folder = tmp_path / "adapter"
    make, lacks = LOST[start]
    wanted = raw(folder, make)
    before = bits(model)
    for opening in (read_adapter, lambda folder, model: checkpoint_on(folder, model).__enter__()):
        with pytest.raises(IncompatibleUpdate) as caught:
            opening(folder, model)
        assert str(caught.value) == (
            f"the adapter in {folder} began as '{start}' and fits a base that is not kept: it took out of the base "
            f"{lacks}; save it from training with path_initial_model_for_weight_conversion, which makes it plain LoRA "
            "on the base as it was"
        )
        assert same_bits(bits(model), before)
    assert start == "corda" or not torch.allclose(reloaded(folder), wanted, atol=1e-3), "peft reads it, after all"


def reloaded(folder: Path) -> Tensor:
    """What the model says that plain peft makes of a folder."""
    with quiet(), torch.inference_mode():
        said: Tensor = PeftModel.from_pretrained(small_model(), str(folder)).eval()(input_ids=IDS).logits
    return said


@pytest.mark.parametrize("start", LOST)
def test_what_is_advised_makes_it_readable(tmp_path: Path, model: PreTrainedModel, start: str) -> None:
    wanted = raw(tmp_path / "adapter", LOST[start][0], path_initial_model_for_weight_conversion=str(tmp_path / "fresh"))
    with read_adapter(tmp_path / "adapter", model).added_to(model), torch.inference_mode():
        torch.testing.assert_close(model(input_ids=IDS).logits, wanted, rtol=1e-4, atol=2e-6)


def edited(folder: Path, **changes: object) -> Path:
    told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps({**told, **changes}), encoding="utf-8")
    return folder


def test_an_adapter_on_quantised_weights_is_refused_with_what_to_do(tmp_path: Path, model: PreTrainedModel) -> None:
    raw(tmp_path / "adapter", plain())
    folder = edited(tmp_path / "adapter", init_lora_weights="loftq", loftq_config={"loftq_bits": 4, "loftq_iter": 1})
    with pytest.raises(IncompatibleUpdate) as caught:
        read_adapter(folder, model)
    assert str(caught.value) == (
        f"the adapter in {folder} began as 'loftq' and fits a base that is not kept: it took out of the base what its "
        "quantisation loses, and the quantised weights are not in the folder; save them as a model, set "
        "init_lora_weights to true in the adapter's configuration, and give that model as the base"
    )


def test_other_tuners_begin_in_no_way_that_matters(tmp_path: Path) -> None:
    raw(tmp_path / "adapter", plain())
    folder = edited(tmp_path / "adapter", peft_type="ADALORA", init_lora_weights="pissa")
    assert not moves_base(configuration(folder))


def test_a_moved_base_is_put_back_also_when_the_adapter_does_not_load(tmp_path: Path, model: PreTrainedModel) -> None:
    raw(tmp_path / "adapter", READ["pissa"])
    file = tmp_path / "adapter" / WEIGHTS
    save_file(dict(list(load_file(file).items())[1:]), file)
    before = bits(model)
    with pytest.raises(DamagedCheckpoint, match=r"lacks .* \(1 in all\)"):
        read_adapter(tmp_path / "adapter", model)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("text", ["", "{"])
def test_a_configuration_that_is_not_json_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG).write_text(text, encoding="utf-8")
    with pytest.raises(DamagedCheckpoint, match="is not an adapter configuration: "):
        configuration(tmp_path)
