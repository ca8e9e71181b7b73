"""Weights are read tensor by tensor, and damage is named by its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from holdfast.core.errors import DamagedCheckpoint, UnsafeFile
from holdfast.weights.shards import INDEX, SINGLE, Shards

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.ones(4, dtype=torch.bfloat16),
    "c": torch.tensor(3.0),
    "d": torch.zeros(0, 5),
}
SPLIT = {"one.safetensors": ("a",), "two.safetensors": ("b", "c", "d")}


def single(folder: Path) -> Path:
    save_file(TENSORS, folder / SINGLE)
    return folder


def sharded(folder: Path) -> Path:
    for file, names in SPLIT.items():
        save_file({name: TENSORS[name] for name in names}, folder / file)
    index(folder, {name: file for file, names in SPLIT.items() for name in names})
    return folder


def index(folder: Path, weight_map: object) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")


@pytest.fixture(params=[single, sharded])
def shards(request: pytest.FixtureRequest, tmp_path: Path) -> Shards:
    return Shards(request.param(tmp_path))


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def test_every_tensor_is_read_as_it_was_saved(shards: Shards) -> None:
    assert sorted(shards) == sorted(TENSORS)
    assert len(shards) == 4
    assert "a" in shards and "e" not in shards
    for name, tensor in TENSORS.items():
        assert same(shards.tensor(name), tensor)
        assert shards.shape(name) == tuple(tensor.shape)


def test_a_shape_is_read_without_the_tensor(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shards, "tensor", lambda self, name: pytest.fail("a tensor was read"))
    assert shards.shape("a") == (2, 3)


def test_another_file_may_be_asked_for(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "adapter_model.safetensors")
    index(tmp_path, {"a": "not-there.safetensors"})
    assert len(Shards(tmp_path, single="adapter_model.safetensors")) == 4


def test_an_index_goes_before_a_single_file(tmp_path: Path) -> None:
    sharded(tmp_path)
    save_file({"other": torch.ones(1)}, tmp_path / SINGLE)
    assert "other" not in Shards(tmp_path)


def damage(folder: Path) -> str:
    with pytest.raises(DamagedCheckpoint) as caught:
        Shards(folder)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("kept", [0, 3, 8, 60, -1])
def test_a_file_that_is_cut_off_is_named_with_its_size(tmp_path: Path, kept: int) -> None:
    sharded(tmp_path)
    file = tmp_path / "two.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    size = file.stat().st_size
    assert damage(tmp_path).startswith(f"two.safetensors is cut off or damaged ({size} bytes on disk; ")
    assert damage(tmp_path).endswith("); copy or download it again")


def test_a_file_with_a_nonsensical_header_is_named(tmp_path: Path) -> None:
    (tmp_path / SINGLE).write_bytes(b"<!DOCTYPE html> " * 100)
    assert damage(tmp_path).startswith("model.safetensors is cut off or damaged (1600 bytes on disk; ")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / "two.safetensors").unlink()
    assert damage(tmp_path) == "two.safetensors is listed in the index but is not there"


def test_a_tensor_that_no_shard_holds_is_named(tmp_path: Path) -> None:
    sharded(tmp_path)
    index(tmp_path, {"a": "one.safetensors", "x": "one.safetensors", "y": "one.safetensors"})
    assert damage(tmp_path) == "model.safetensors.index.json lists 'x', which no shard holds (2 in all)"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": ["a"]}', '{"weight_map": null}']
)
def test_a_damaged_index_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text, encoding="utf-8")
    assert damage(tmp_path).startswith("model.safetensors.index.json is not an index of shards: ")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt", "last.ckpt"])
def test_a_folder_of_pickles_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UnsafeFile) as caught:
        Shards(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds its weights in {name}, a pickle, which can run code when opened; "
        "save the model with safe_serialization=True, or pass --allow_pickle if you trust its origin"
    )


def test_pickles_beside_safetensors_are_not_looked_at(tmp_path: Path) -> None:
    (single(tmp_path) / "training_args.bin").touch()
    assert len(Shards(tmp_path)) == 4


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_an_empty_folder_asks_whether_it_is_one_of_a_model(tmp_path: Path, folder: str) -> None:
    with pytest.raises(DamagedCheckpoint) as caught:
        Shards(tmp_path / folder)
    assert str(caught.value) == (
        f"{tmp_path / folder} holds no model.safetensors and no model.safetensors.index.json: is it a model folder?"
    )


def test_a_file_that_goes_away_later_is_named(shards: Shards) -> None:
    for file in shards.folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(DamagedCheckpoint, match="is listed in the index but is not there"):
        shards.tensor("a")
