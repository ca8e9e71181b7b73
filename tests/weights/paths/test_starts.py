"""What is known of an adapter's tensors before training."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import bits, same_bits

from holdfast.core.errors import NotMeasurable
from holdfast.methods.adalora import AdaLora
from holdfast.testing.laws import small_model
from holdfast.weights.moving import CONFIG, WEIGHTS
from holdfast.weights.paths.starts import Start, starts_of, with_kept

Make = Callable[..., Any]
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def test_what_is_drawn_is_unknown_and_what_follows_is_known(made: Make, config: Make) -> None:
    adapter = made(config("lora", r=4, use_dora=True, target_modules=["q_proj"], modules_to_save=["lm_head"]))
    state, before = torch.random.get_rng_state(), bits(adapter.base)
    found = starts_of(adapter.folder, adapter.base)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same_bits(bits(adapter.base), before)
    assert found[f"{LAYER}.lora_A.weight"] == Start(True, None, f"{LAYER}.lora_A.default.weight")
    for name, value in adapter.initial.items():
        start = found[
            name.replace(".default", "").replace(".modules_to_save", "").removesuffix(".weight")
            + ("" if "magnitude" in name else ".weight")
        ]
        assert start.trained and start.live == name
        assert start.value is None or torch.equal(start.value, value)
    magnitude = found[f"{LAYER}.lora_magnitude_vector"].value
    lengths = adapter.base.model.layers[0].self_attn.q_proj.weight.norm(dim=1)
    assert magnitude is not None
    torch.testing.assert_close(magnitude, lengths.detach())


def test_an_adapter_that_was_made_from_the_same_base_elsewhere_is_no_cause_for_a_warning(
    made: Make, config: Make
) -> None:
    adapter = made(config("lora", r=4, target_modules=["q_proj"]))
    told = json.loads((adapter.folder / CONFIG).read_text())
    (adapter.folder / CONFIG).write_text(json.dumps({**told, "base_model_name_or_path": "elsewhere/base"}))
    adapter.base.name_or_path = "here/base"
    assert starts_of(adapter.folder, adapter.base)


def test_what_is_stored_and_not_trained_is_no_start(made: Make, config: Make) -> None:
    adapter = made(config("vera", target_modules=["q_proj"]))
    found = starts_of(adapter.folder, adapter.base)
    assert {name.split(".")[-1]: start.trained for name, start in found.items()} == {
        "vera_A": False,
        "vera_B": False,
        "vera_lambda_b": True,
        "vera_lambda_d": True,
    }


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`")
def test_tensors_of_the_base_that_differ_from_it_were_trained(made: Make, config: Make) -> None:
    adapter = made(config("lora", r=4, target_modules=["embed_tokens"]))
    name = "base_model.model.model.embed_tokens.base_layer.weight"
    assert not starts_of(adapter.folder, adapter.base)[name].trained
    stored = load_file(adapter.folder / WEIGHTS)
    save_file({**stored, name: stored[name] + 1}, adapter.folder / WEIGHTS, metadata={"format": "pt"})
    start = starts_of(adapter.folder, adapter.base)[name]
    assert start.trained and start.value is not None
    assert torch.equal(start.value, adapter.base.model.embed_tokens.weight)


@pytest.mark.parametrize("begun", ["pissa", "olora"])
def test_an_adapter_that_holds_part_of_the_base_has_no_start(made: Make, config: Make, begun: str) -> None:
    adapter = made(config("lora", r=4, init_lora_weights=begun, target_modules=["q_proj"]))
    with pytest.raises(NotMeasurable) as caught:
        starts_of(adapter.folder, adapter.base)
    assert str(caught.value) == (
        f"an adapter that began as '{begun}' holds part of the base, which peft takes out of the base whenever it is "
        "loaded; the dense line starts at the base, and so does the additive path of the adapter when it is saved with "
        "path_initial_model_for_weight_conversion"
    )


def test_pruned_ranks_of_adalora_are_left_out_of_what_was_kept(tmp_path: Any) -> None:
    attachment = AdaLora(target_r=2, init_r=6).attach(small_model())
    tuner = attachment.model.base_model
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1)))
    ranks = {}
    for name, tensor in attachment.trainable().items():
        if "lora_E" in name:
            keep = torch.arange(len(tensor)) % 3 != 1
            tensor.data[~keep] = 0
            ranks[name.removeprefix("base_model.model.")] = keep.tolist()
    tuner.peft_config["default"].rank_pattern = ranks
    attachment.save(tmp_path / "adalora")
    initial = dict(attachment.initial())
    base = attachment.detach()
    starts = with_kept(starts_of(tmp_path / "adalora", base), initial, tmp_path / "adalora")
    keep = torch.tensor(ranks["model.layers.0.self_attn.q_proj.lora_E.default"])
    for part, wanted in (
        ("lora_A", initial[f"{LAYER}.lora_A.default"][keep]),
        ("lora_B", initial[f"{LAYER}.lora_B.default"][:, keep]),
        ("lora_E", initial[f"{LAYER}.lora_E.default"][keep]),
    ):
        value = starts[f"{LAYER}.{part}"].value
        assert value is not None and torch.equal(value, wanted)
