"""Pickles are opened on request, as tables of tensors and nothing else."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from holdfast.core.errors import DamagedCheckpoint, HoldfastError, UnsafeFile
from holdfast.weights.shards import INDEX, SINGLE, Shards

FILE = "pytorch_model.bin"
PICKLED_INDEX = f"{FILE}.index.json"
TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.ones(4, dtype=torch.bfloat16),
    "c": torch.tensor(3),
    "d": torch.zeros(0, 5),
    "e": torch.zeros(0, 5),
    "f": torch.ones(2).to(torch.float8_e4m3fn),
    "g": torch.arange(6.0).reshape(2, 3),
}
SPLIT = {"one.bin": ("a",), "two.bin": ("b", "c", "d", "e", "f", "g")}


def single(folder: Path) -> Path:
    torch.save(TENSORS, folder / FILE)
    return folder


def sharded(folder: Path) -> Path:
    for file, names in SPLIT.items():
        torch.save({name: TENSORS[name] for name in names}, folder / file)
    index(folder, {name: file for file, names in SPLIT.items() for name in names})
    return folder


def index(folder: Path, weight_map: dict[str, str], name: str = PICKLED_INDEX) -> None:
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.float(), other.float())


@pytest.mark.parametrize("write", [single, sharded])
def test_every_tensor_is_read_as_it_was_saved(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    shards = Shards(write(tmp_path), allow_pickle=True)
    assert list(shards) == list(TENSORS) and len(shards) == 7
    for name, tensor in TENSORS.items():
        assert same(shards.tensor(name), tensor)
        assert shards.shape(name) == tuple(tensor.shape)
    assert [name for name in shards if not shards.is_floating(name)] == ["c", "f"]


def test_safetensors_tell_the_same_of_their_types(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / SINGLE)
    shards = Shards(tmp_path)
    assert sorted(name for name in shards if not shards.is_floating(name)) == ["c", "f"]


@pytest.mark.parametrize("write", [single, sharded])
def test_they_are_refused_unless_asked_for(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    write(tmp_path)
    first = min(file.name for file in tmp_path.glob("*.bin"))
    with pytest.raises(UnsafeFile) as caught:
        Shards(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds its weights in {first}, a pickle, which can run code when opened; "
        "save the model with safe_serialization=True, or pass --allow_pickle if you trust its origin"
    )


def test_safetensors_go_before_pickles(tmp_path: Path) -> None:
    save_file({"other": torch.ones(1)}, single(tmp_path) / SINGLE)
    assert list(Shards(tmp_path, allow_pickle=True)) == ["other"]


def test_an_index_of_safetensors_cannot_smuggle_in_a_pickle(tmp_path: Path) -> None:
    torch.save({"a": TENSORS["a"]}, tmp_path / "one.bin")
    index(tmp_path, {"a": "one.bin"}, INDEX)
    with pytest.raises(DamagedCheckpoint, match=r"one\.bin is cut off or damaged"):
        Shards(tmp_path)


def test_a_tensor_that_is_tied_is_there_under_its_first_name(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    torch.save({"embed": weight, "turned": weight.view(3, 2), "copy": weight.clone(), "head": weight}, tmp_path / FILE)
    assert list(Shards(tmp_path, allow_pickle=True)) == ["embed", "turned", "copy"]


def test_a_tensor_that_is_tied_may_be_in_the_index_twice(tmp_path: Path) -> None:
    weight = torch.ones(2, 3)
    torch.save({"embed": weight, "head": weight}, tmp_path / "one.bin")
    index(tmp_path, {"embed": "one.bin", "head": "one.bin"})
    assert list(Shards(tmp_path, allow_pickle=True)) == ["embed"]


def test_a_pickle_is_mapped_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, object]] = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, **options: given.append(options) or load(path, **options))
    shards = Shards(single(tmp_path), allow_pickle=True)
    shards.tensor("a"), shards.shape("b"), shards.tensor("a")
    assert given == [{"map_location": "cpu", "weights_only": True, "mmap": True}]


class Code:
    """What a pickle may do that nobody should open."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def refused(folder: Path) -> HoldfastError:
    with pytest.raises(HoldfastError) as caught:
        Shards(folder, allow_pickle=True)
    return caught.value


def test_a_pickle_that_would_run_code_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Code()}, tmp_path / FILE)
    error = refused(tmp_path)
    assert isinstance(error, UnsafeFile) and not (tmp_path / "ran").exists()
    assert str(error) == (
        f"{tmp_path / FILE} holds more than tensors, and is not opened even with --allow_pickle, because it could run "
        "code; save the model with safe_serialization=True"
    )


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_pickle_that_is_cut_off_is_named_with_its_size(tmp_path: Path, kept: int) -> None:
    file = single(tmp_path) / FILE
    file.write_bytes(file.read_bytes()[:kept])
    error = refused(tmp_path)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == (
        f"{file} is cut off, or older than the format of torch 1.6 ({file.stat().st_size} bytes on disk); copy or "
        "download it again, or save the model with safe_serialization=True"
    )


def test_a_pickle_of_the_old_format_is_refused(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / FILE, _use_new_zipfile_serialization=False)
    assert "older than the format of torch 1.6" in str(refused(tmp_path))


def test_an_archive_of_something_else_is_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / FILE, "w") as archive:
        archive.writestr("hello", "x")
    error = refused(tmp_path)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error).startswith(f"{tmp_path / FILE} is cut off or damaged (")
    assert str(error).endswith("); copy or download it again")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"state_dict": {"a": torch.ones(1)}}], ids=str)
def test_a_pickle_that_is_no_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / FILE)
    error = refused(tmp_path)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == (
        f"{tmp_path / FILE} is no table of tensors by name; save the model with safe_serialization=True"
    )


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (sharded(tmp_path) / "two.bin").unlink()
    assert str(refused(tmp_path)) == f"{tmp_path / 'two.bin'} is listed in the index but is not there"


def test_a_tensor_that_no_shard_holds_is_named(tmp_path: Path) -> None:
    sharded(tmp_path)
    index(tmp_path, {"a": "one.bin", "x": "one.bin"})
    assert str(refused(tmp_path)) == f"{tmp_path / PICKLED_INDEX} lists 'x', which no shard holds (1 in all)"


def test_pickles_by_other_names_are_not_opened(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "last.ckpt")
    error = refused(tmp_path)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == (
        f"{tmp_path} holds its weights in last.ckpt, and of pickles only {FILE} is opened; save the model with "
        "safe_serialization=True"
    )
