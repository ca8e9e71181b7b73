"""What single methods promise beyond the laws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft.tuners.ia3 import IA3Layer
from safetensors.torch import load_file
from small import bits, moved, same_bits
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.algebra.low_rank import LowRank
from holdfast.core.errors import RecipeError
from holdfast.methods.blocks import block_sizes
from holdfast.methods.boft import Boft
from holdfast.methods.dora import Dora
from holdfast.methods.full import Full
from holdfast.methods.hra import Hra
from holdfast.methods.ia3 import Ia3
from holdfast.methods.layernorm import LayerNorm
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.methods.pissa import Pissa
from holdfast.methods.vera import Vera
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import read_adapter
from holdfast.weights.contracts import Method
from holdfast.weights.shards import Shards

DOWN = "model.layers.1.mlp.down_proj"


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def spectra_kept(method: Method, model: PreTrainedModel) -> float:
    """Largest change of a singular value over all weights that a method moves, as a share of the largest value."""
    before = weights(model)
    update = moved(method, model).update()
    changes = [
        float(
            (torch.linalg.svdvals(before[name] + change.dense()) - (s := torch.linalg.svdvals(before[name])))
            .abs()
            .max()
            / s[0]
        )
        for name, change in update.items()
    ]
    assert len(changes) == 14
    assert update.norm() > 0.1 * float(torch.stack([before[name].norm() for name in update]).norm())
    return max(changes)


@pytest.mark.parametrize("method", [Oft(), Oft(block_size=8), Hra()], ids=lambda method: method.spec())
def test_exact_rotations_keep_the_singular_values(model: PreTrainedModel, method: Method) -> None:
    assert spectra_kept(method, model) < 1e-5


@pytest.mark.parametrize("method", [Oft(exact=False), Lora(), Boft()], ids=lambda method: method.spec())
def test_other_methods_do_not(model: PreTrainedModel, method: Method) -> None:
    assert spectra_kept(method, model) > 1e-3


@pytest.mark.parametrize("method", [Oft(block_size=24), Boft(block_size=24)], ids=lambda method: method.spec())
def test_a_block_size_that_does_not_fit_is_refused_with_those_that_do(model: PreTrainedModel, method: Method) -> None:
    before = bits(model)
    with pytest.raises(RecipeError) as caught:
        method.attach(model)
    assert caught.value.faults == (
        f"{method.name}: block_size=24 does not divide the inputs of every layer; possible: 2, 4, 8, 16, 32, 64",
    )
    assert same_bits(bits(model), before)


def test_block_sizes_divide_the_inputs_of_every_layer() -> None:
    config = {**small_model().config.to_dict(), "hidden_size": 48, "head_dim": 12, "intermediate_size": 36}
    assert block_sizes(LlamaForCausalLM(LlamaConfig(**config))) == (2, 3, 4, 6, 12)


def test_butterfly_factors_that_cannot_be_built_here_are_refused(model: PreTrainedModel) -> None:
    before = bits(model)
    if torch.cuda.is_available():
        pytest.skip("the extension may be there")
    with pytest.raises(RecipeError) as caught:
        Boft(factors=2).attach(model)
    assert caught.value.faults == ("boft: factors=2 needs peft's CUDA extension, which is missing here; use factors=1",)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize(("method", "scale"), [(Lora(r=4), 2.0), (Lora(r=4, alpha=2.0), 0.5), (Pissa(r=4), 1.0)])
def test_the_scale_of_lora_is_alpha_over_rank(model: PreTrainedModel, method: Method, scale: float) -> None:
    layer = method.attach(model).model.get_base_model().get_submodule(DOWN)
    assert layer.scaling == {"default": scale}


def test_rslora_scales_by_the_root_of_the_rank(model: PreTrainedModel) -> None:
    layer = Lora(r=4, use_rslora=True).attach(model).model.get_base_model().get_submodule(DOWN)
    assert layer.scaling == {"default": 8 / 2}


def test_dora_trains_a_magnitude_beside_the_direction(model: PreTrainedModel) -> None:
    attachment = Dora(r=4).attach(model)
    magnitudes = {name: tensor for name, tensor in attachment.trainable().items() if "magnitude" in name}
    assert len(magnitudes) == 14
    assert Dora(r=4).parameters(small_model()) - Lora(r=4).parameters(small_model()) == sum(
        tensor.numel() for tensor in magnitudes.values()
    )


def test_dora_is_not_the_product_of_its_factors(model: PreTrainedModel) -> None:
    assert not any(isinstance(change, LowRank) for change in moved(Dora(r=4), model).update().values())


def test_ia3_scales_the_inputs_of_the_last_layer_of_each_mlp_and_the_outputs_of_all_others(
    model: PreTrainedModel,
) -> None:
    base = Ia3().attach(model).model.get_base_model()
    layers = {name: layer for name, layer in base.named_modules() if isinstance(layer, IA3Layer)}
    assert len(layers) == 14
    for name, layer in layers.items():
        assert layer.is_feedforward == name.endswith("down_proj")
        width = layer.in_features if layer.is_feedforward else layer.out_features
        assert layer.ia3_l["default"].numel() == width


def test_layernorm_trains_the_norms_and_nothing_else(model: PreTrainedModel) -> None:
    update = moved(LayerNorm(), model).update()
    assert sorted(update) == sorted(name for name, _ in small_model().named_parameters() if "norm" in name)


class Plain(LlamaForCausalLM):
    """A model whose norms do not say that they are norms."""


def test_a_model_without_norms_cannot_be_trained_by_its_norms(model: PreTrainedModel) -> None:
    for module in model.modules():
        for name, child in list(module.named_children()):
            if type(child).__name__.endswith("Norm"):
                setattr(module, name, nn.Identity())
    with pytest.raises(RecipeError) as caught:
        LayerNorm().attach(model)
    assert caught.value.faults == ("layernorm: LlamaForCausalLM has no normalisation layers to train",)


def test_vera_stores_its_projections(model: PreTrainedModel, tmp_path: Path) -> None:
    moved(Vera(r=8), model).save(tmp_path)
    assert any("vera_A" in name for name in Shards(tmp_path, single="adapter_model.safetensors"))


# PiSSA


def test_pissa_moves_the_leading_directions_out_of_the_base(model: PreTrainedModel) -> None:
    weight = dict(model.named_parameters())[f"{DOWN}.weight"].detach().clone()
    attachment = Pissa(r=4).attach(model)
    rest = attachment.model.get_base_model().get_submodule(DOWN).get_base_layer().weight.detach()
    values = torch.linalg.svdvals(weight)
    torch.testing.assert_close(torch.linalg.svdvals(rest)[:-4], values[4:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.linalg.svdvals(weight - rest)[:4], values[:4], rtol=1e-4, atol=1e-5)


def test_a_fresh_pissa_has_no_update(model: PreTrainedModel) -> None:
    update = Pissa(r=4).attach(model).update()
    assert update.norm() < 1e-5
    assert all(change.left.shape[1] == 8 for change in update.values() if isinstance(change, LowRank))


def test_pissa_is_saved_as_plain_lora_of_twice_the_rank_on_the_untouched_base(
    model: PreTrainedModel, inputs: Tensor, tmp_path: Path
) -> None:
    attachment = moved(Pissa(r=4), model)
    attachment.save(tmp_path)
    with torch.inference_mode():
        wanted = attachment.model(input_ids=inputs).logits
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["r"] == 8 and config["init_lora_weights"] is True and not config["use_dora"]
    base = small_model()
    update = read_adapter(tmp_path, base)
    assert all(isinstance(change, LowRank) for change in update.values())
    with update.added_to(base), torch.inference_mode():
        torch.testing.assert_close(base(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)


def test_pissa_may_be_saved_again_and_again(model: PreTrainedModel, tmp_path: Path) -> None:
    attachment = moved(Pissa(r=4), model)
    for name in ("one", "two"):
        attachment.save(tmp_path / name)
    one, two = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_detaching_pissa_removes_what_it_kept_on_disk(model: PreTrainedModel) -> None:
    attachment = Pissa(r=4).attach(model)
    assert attachment._fresh.is_dir()
    attachment.detach()
    assert not attachment._fresh.exists()


# Full fine-tuning


def test_full_counts_every_parameter_once(model: PreTrainedModel) -> None:
    tied = LlamaForCausalLM(LlamaConfig(**{**model.config.to_dict(), "tie_word_embeddings": True}))
    assert Full().parameters(model) - Full().parameters(tied) == 128 * 64
    assert len(Full().attach(tied).trainable()) == len(list(model.parameters())) - 1


def test_full_lists_only_what_has_moved(model: PreTrainedModel) -> None:
    attachment = Full().attach(model)
    assert len(attachment.update()) == 0
    with torch.no_grad():
        model.model.norm.weight[3] += 1
    assert list(attachment.update()) == ["model.norm.weight"]
    assert attachment.update().norm() == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tied", [True, False])
def test_a_base_of_half_precision_is_trained_in_float32_and_saved_as_it_came(
    tmp_path: Path, dtype: torch.dtype, tied: bool
) -> None:
    config = LlamaConfig(**{**small_model().config.to_dict(), "tie_word_embeddings": tied})
    model = LlamaForCausalLM(config).to(dtype)
    model.config.dtype = dtype
    before = bits(model)
    attachment = moved(Full(), model)
    assert {tensor.dtype for tensor in attachment.trainable().values()} == {torch.float32}
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    attachment.save(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    for name, tensor in attachment.trainable().items():
        assert torch.equal(stored[name], tensor.detach().to(dtype))
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    attachment.detach()
    assert same_bits(bits(model), before)
    assert model.config.dtype == dtype
    again = LlamaForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert again.dtype == dtype


def test_small_steps_of_half_precision_are_not_lost() -> None:
    attachment = Full().attach(small_model().bfloat16())
    with torch.no_grad():
        attachment.model.model.norm.weight += 1e-4
    change = attachment.update()["model.norm.weight"].dense()
    torch.testing.assert_close(change, torch.full((64,), 1e-4), rtol=1e-3, atol=0)
