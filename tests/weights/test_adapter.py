"""An adapter becomes the update that merging it would make, whatever its tuner, and leaves the base as it was."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import ADAPTERS, bits, moved, same_bits
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation
from holdfast.core.errors import DamagedCheckpoint, HoldfastError, IncompatibleUpdate, UnsafeFile
from holdfast.methods.lora import Lora
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import is_adapter, read_adapter
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.moving import CONFIG, WEIGHTS

Saved = Callable[..., tuple[Path, Tensor]]
LOW_RANK = ("lora", "lora(use_rslora=True)", "pissa", "o_lora", "inf_lora", "lora_fa")
FORMS = {"oft": Rotation, **dict.fromkeys(LOW_RANK, LowRank)}


def llama(**changes: int) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**{**small_model().config.to_dict(), **changes})).eval()


def trace_free(model: PreTrainedModel) -> bool:
    """Whether nothing of peft is left in a model."""
    return not hasattr(model, "peft_config") and not any("peft" in type(m).__module__ for m in model.modules())


@pytest.mark.parametrize("spec", ADAPTERS)
def test_the_update_of_a_folder_added_to_the_base_answers_as_the_live_adapter(
    saved: Saved, model: PreTrainedModel, inputs: Tensor, spec: str
) -> None:
    folder, wanted = saved(ADAPTERS[spec])
    model.model.norm.weight.requires_grad_(False)
    before = bits(model)
    update = read_adapter(folder, model)
    assert same_bits(bits(model), before) and trace_free(model)
    with update.added_to(model), torch.inference_mode():
        torch.testing.assert_close(model(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)
    assert {type(change) for change in update.values()} == {FORMS.get(spec, Dense)}


@pytest.mark.parametrize("spec", ADAPTERS)
def test_a_folder_gives_the_same_update_as_the_live_adapter(saved: Saved, model: PreTrainedModel, spec: str) -> None:
    attachment = moved(ADAPTERS[spec], small_model())
    live = {name: change.dense() for name, change in attachment.update().items()}
    read = read_adapter(saved(ADAPTERS[spec])[0], model)
    assert set(read) == set(live)
    for name, change in read.items():
        torch.testing.assert_close(change.dense(), live[name], rtol=1e-4, atol=1e-6)


def test_only_a_folder_with_a_configuration_of_an_adapter_is_one(saved: Saved, tmp_path: Path) -> None:
    assert is_adapter(saved(Lora())[0])
    assert not is_adapter(tmp_path)


def refused(folder: Path, model: PreTrainedModel) -> HoldfastError:
    """The error for an adapter that cannot be put on a model, which is left as it was."""
    model.model.norm.weight.requires_grad_(False)
    before = bits(model)
    with pytest.raises(HoldfastError) as caught:
        read_adapter(folder, model)
    assert same_bits(bits(model), before) and trace_free(model)
    with torch.inference_mode():
        model(input_ids=torch.arange(5)[None])
    return caught.value


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"peft_type": "NONSENSE"}', '{"peft_type": "LORA", "r": "many"}']
)
def test_a_damaged_configuration_is_named(saved: Saved, model: PreTrainedModel, text: str) -> None:
    folder, _ = saved(Lora())
    (folder / CONFIG).write_text(text, encoding="utf-8")
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error).startswith(f"{folder / CONFIG} is not an adapter configuration: ")


def test_weights_that_are_cut_off_are_named(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error).startswith(f"{folder / WEIGHTS} is cut off or damaged ({len(content) // 2} bytes on disk; ")


def test_weights_that_are_missing_are_named(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    (folder / WEIGHTS).unlink()
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert WEIGHTS in str(error)


def test_weights_in_a_pickle_are_refused(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    error = refused(folder, model)
    assert isinstance(error, UnsafeFile)
    assert str(error) == (
        f"{folder} holds its weights in adapter_model.bin, a pickle, which can run code when opened; "
        "save the model with safe_serialization=True, or pass --allow_pickle if you trust its origin"
    )


def test_weights_in_a_trusted_pickle_are_those_of_the_safe_file(
    saved: Saved, model: PreTrainedModel, inputs: Tensor
) -> None:
    folder, wanted = saved(Lora())
    safe = read_adapter(folder, model)
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    before = bits(model)
    trusted = read_adapter(folder, model, allow_pickle=True)
    assert list(trusted) == list(safe)
    assert all(torch.equal(change.dense(), safe[name].dense()) for name, change in trusted.items())
    with checkpoint_on(folder, model, allow_pickle=True) as tuned, torch.inference_mode():
        torch.testing.assert_close(tuned(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)
    assert same_bits(bits(model), before)


def test_weights_without_any_tensor_are_refused(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    save_file({}, folder / WEIGHTS)
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint) and str(error) == f"{folder / WEIGHTS} holds no tensors"


def test_weights_that_lack_a_tensor_are_refused_and_never_made_up(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    tensors = load_file(folder / WEIGHTS)
    gone = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"
    del tensors[gone]
    save_file(tensors, folder / WEIGHTS)
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == f"{folder / WEIGHTS} lacks '{gone}' (1 in all), which {CONFIG} asks for"


@pytest.mark.parametrize("spec", ["lora", "oft", "ia3", "peft:loha"])
@pytest.mark.parametrize("changes", [{"hidden_size": 32, "head_dim": 8}, {"num_hidden_layers": 1}], ids=str)
def test_an_adapter_of_another_base_is_refused(saved: Saved, spec: str, changes: dict[str, int]) -> None:
    folder, _ = saved(ADAPTERS[spec])
    error = refused(folder, llama(**changes))
    assert isinstance(error, IncompatibleUpdate)
    assert str(error).startswith(f"the adapter in {folder} ")


def test_an_adapter_of_a_deeper_base_names_what_has_no_place(saved: Saved) -> None:
    folder, _ = saved(Lora())
    assert str(refused(folder, llama(num_hidden_layers=1))) == (
        f"the adapter in {folder} holds 'base_model.model.model.layers.1.mlp.down_proj.lora_A.weight' (14 in all), "
        "for which this base model has no place"
    )


def test_an_adapter_of_another_architecture_is_refused(saved: Saved) -> None:
    folder, _ = saved(Lora())
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=32))
    before = bits(gpt)
    with pytest.raises(IncompatibleUpdate, match="does not fit this base model"):
        read_adapter(folder, gpt)
    assert same_bits(bits(gpt), before) and trace_free(gpt)


def test_a_configuration_of_a_newer_peft_is_read_with_its_warning(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps({**config, "from_the_future": 1}), encoding="utf-8")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert len(read_adapter(folder, model)) == 14
    assert any("from_the_future" in str(warning.message) for warning in heard)
