"""A base opens whole or says why not, before anything is trained on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants as hub
from safetensors.torch import load_file, save_file

from holdfast.core.errors import DamagedCheckpoint, HoldfastError, ModelNotFound, UnsafeFile
from holdfast.methods.lora import Lora
from holdfast.models.base import (
    Base,
    check_folder,
    device_of_choice,
    dtype_of_choice,
    located,
    open_base,
    skeleton,
    stamp,
)

UP = "model.layers.1.mlp.up_proj.weight"


def refused(name: Path | str, **options: Any) -> HoldfastError:
    with pytest.raises(HoldfastError) as caught:
        open_base(str(name), **options)
    return caught.value


def edited(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")


def test_the_miniature_opens(miniature: Base) -> None:
    assert miniature.name == "miniature"
    assert not miniature.model.training
    assert sum(tensor.numel() for tensor in miniature.model.parameters()) == 623_744
    assert miniature.tokenizer.pad_token is not None
    assert len(miniature.identity) == 32


def test_a_folder_opens_as_the_same_model(miniature: Base, folder: Path) -> None:
    assert open_base(str(folder)).identity == miniature.identity


def test_a_tokenizer_without_padding_pads_with_its_end_of_text(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = open_base(str(folder)).tokenizer
    assert tokenizer.pad_token == tokenizer.eos_token


@pytest.mark.parametrize(("dtype", "wanted"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_a_base_opens_in_the_precision_asked_for(dtype: str, wanted: torch.dtype) -> None:
    model = open_base("miniature", dtype=dtype, device=torch.device("cpu")).model
    assert {tensor.dtype for tensor in model.parameters()} == {wanted}


@pytest.mark.parametrize(
    ("dtype", "device", "wanted"),
    [
        ("auto", "cpu", torch.float32),
        ("auto", "mps", torch.float32),
        ("auto", "cuda", torch.bfloat16),
        ("float32", "cuda", torch.float32),
        ("float16", "cpu", torch.float16),
    ],
)
def test_precision_is_chosen_by_device(dtype: str, device: str, wanted: torch.dtype) -> None:
    assert dtype_of_choice(dtype, torch.device(device)) == wanted


def test_a_device_is_always_found() -> None:
    assert device_of_choice().type in {"cpu", "cuda", "mps"}


def test_a_folder_without_configuration_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == f"{folder} has no config.json: is it a Hugging Face model folder?"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model_type": "nonsense"}'])
def test_a_damaged_configuration_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8")
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert "config.json is not JSON" in str(error) or f"'{folder}' cannot be opened: " in str(error)


def test_a_folder_without_tokenizer_is_refused_with_what_to_do(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == (
        f"{folder} has no tokenizer (tokenizer.json, tokenizer_config.json, ...); "
        "copy the tokenizer of the model it was trained from into the folder"
    )


@pytest.mark.parametrize("text", ["", "{}", '{"version": "1.0", "trunc'])
def test_a_damaged_tokenizer_is_refused(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error).startswith(f"'{folder}' cannot be opened: ")


@pytest.mark.parametrize("kept", [0, 4, 100, 2_000_000])
def test_weights_that_are_cut_off_are_refused_by_name_and_size(folder: Path, kept: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error).startswith(f"{file} is cut off or damaged ({kept} bytes on disk; ")
    assert str(error).endswith("); copy or download it again")


def test_weights_that_are_missing_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert (
        str(error) == f"{folder} holds no model.safetensors and no model.safetensors.index.json: is it a model folder?"
    )


def test_a_missing_tensor_is_refused_and_never_made_up(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors[UP]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == (
        f"'{folder}' lacks '{UP}' (1 in all), which its config.json asks for; copy or download it again"
    )


def test_a_tensor_of_another_shape_is_refused_and_never_made_up(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[UP] = torch.zeros(3, 128)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    error = refused(folder)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == (
        f"'{folder}' holds '{UP}' in shape (3, 128), and its config.json asks for (192, 128); "
        "do the two belong together?"
    )


def test_a_configuration_of_a_larger_model_is_refused(folder: Path) -> None:
    edited(folder, num_hidden_layers=6)
    assert "lacks 'model.layers.4." in str(refused(folder))


def test_an_adapter_is_no_base(folder: Path, miniature: Base) -> None:
    attachment = Lora().attach(miniature.model)
    attachment.save(folder)
    attachment.detach()
    error = refused(folder)
    assert isinstance(error, ModelNotFound)
    assert str(error) == f"{folder} is an adapter, not a base model; give the base and the adapter separately"


@pytest.fixture
def pickled(folder: Path) -> Path:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_is_refused_unless_the_user_asks_for_it(pickled: Path, miniature: Base) -> None:
    error = refused(pickled)
    assert isinstance(error, UnsafeFile)
    assert str(error) == (
        f"{pickled} holds its weights in pytorch_model.bin, a pickle, which can run code when opened; "
        "save the model with safe_serialization=True, or pass --allow_pickle if you trust its origin"
    )
    assert open_base(str(pickled), allow_pickle=True).identity == miniature.identity


def test_a_damaged_pickle_is_refused(pickled: Path) -> None:
    (pickled / "pytorch_model.bin").write_bytes(b"no")
    assert isinstance(refused(pickled, allow_pickle=True), DamagedCheckpoint)


def test_a_model_with_code_of_its_own_is_refused(folder: Path) -> None:
    edited(folder, model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"})
    (folder / "own.py").write_text("raise SystemExit('the code of the model was run')", encoding="utf-8")
    error = refused(folder)
    assert isinstance(error, UnsafeFile)
    assert str(error) == (
        f"'{folder}' needs code of its own to be opened; read that code, then pass --trust_remote_code"
    )


@pytest.mark.parametrize("opening", [open_base, skeleton])
def test_a_hub_id_that_cannot_be_had_offline_says_so(opening: Any) -> None:
    with pytest.raises(ModelNotFound) as caught:
        opening("nobody/nothing")
    assert str(caught.value) == (
        "'nobody/nothing' is no folder here and is not in the local cache, and the hub is switched off by "
        "HF_HUB_OFFLINE; give a model folder, 'miniature', or go online"
    )
    assert caught.value.exit_code == 3


def test_what_the_hub_said_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "is_offline_mode", lambda: False)
    with pytest.raises(ModelNotFound) as caught:
        open_base("nobody/nothing")
    assert str(caught.value).startswith("'nobody/nothing' is no folder here, and the hub did not give it: ")
    assert str(caught.value).endswith("; give a model folder, a hub id you have access to, or 'miniature'")


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert isinstance(refused(tmp_path / "model.gguf"), DamagedCheckpoint)


def test_looking_at_a_sound_folder_finds_nothing(folder: Path) -> None:
    check_folder(folder)


def test_a_skeleton_has_all_parameters_and_no_storage(miniature: Base) -> None:
    bones = skeleton("miniature")
    assert {tensor.device.type for tensor in bones.parameters()} == {"meta"}
    shapes = {name: tuple(tensor.shape) for name, tensor in bones.named_parameters()}
    assert shapes == {name: tuple(tensor.shape) for name, tensor in miniature.model.named_parameters()}
    assert bones.get_output_embeddings().weight is bones.get_input_embeddings().weight


def test_only_the_miniature_has_a_place_of_its_own(folder: Path) -> None:
    assert Path(located("miniature")).is_dir()
    assert located("nobody/nothing") == "nobody/nothing"


def test_a_stamp_tells_whether_weights_were_touched(folder: Path) -> None:
    before = stamp(str(folder))
    assert "model.safetensors" in before
    assert stamp(str(folder)) == before
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    assert stamp(str(folder)) != before
    assert stamp("nobody/nothing") == ""
