"""The update between two full checkpoints stays on disk until it is asked for."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import bits, moved, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import IncompatibleUpdate, UnsafeFile
from holdfast.methods.full import Full
from holdfast.testing.laws import small_model
from holdfast.weights.checkpoint import read_full
from holdfast.weights.shards import SINGLE, Shards

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folders(tmp_path: Path, model: PreTrainedModel) -> tuple[Path, Path]:
    model.save_pretrained(tmp_path / "base")
    moved(Full(), model).save(tmp_path / "tuned")
    return tmp_path / "base", tmp_path / "tuned"


def edited(folder: Path, **tensors: Tensor | None) -> None:
    stored = {**load_file(folder / SINGLE), **tensors}
    save_file({name: tensor for name, tensor in stored.items() if tensor is not None}, folder / SINGLE)


def test_it_is_the_difference_of_the_two(folders: tuple[Path, Path]) -> None:
    update = read_full(*folders)
    base, tuned = (load_file(folder / SINGLE) for folder in folders)
    assert set(update) == set(base)
    for name, change in update.items():
        wanted = tuned[name].double() - base[name].double()
        assert change.shape == tuple(wanted.shape)
        torch.testing.assert_close(change.dense().double(), wanted, rtol=0, atol=1e-6)
        assert change.norm() == pytest.approx(float(wanted.norm()), rel=1e-5)
        assert change.to("cpu").dense().equal(change.dense())
        assert change.to("meta").dense().device.type == "meta"
    torch.testing.assert_close(
        update[UP].singular_values(), torch.linalg.svdvals(tuned[UP] - base[UP]), rtol=1e-5, atol=1e-6
    )


def test_base_plus_update_is_the_tuned_model(folders: tuple[Path, Path], inputs: Tensor) -> None:
    model = small_model()
    before = bits(model)
    tuned = type(model).from_pretrained(folders[1], dtype=torch.float32).eval()
    with torch.inference_mode():
        wanted = tuned(inputs).logits
        with read_full(*folders).added_to(model):
            torch.testing.assert_close(model(inputs).logits, wanted, rtol=1e-5, atol=1e-5)
    assert same_bits(bits(model), before)


def test_it_does_not_matter_how_the_two_are_cut_into_files(folders: tuple[Path, Path], tmp_path: Path) -> None:
    model = type(small_model()).from_pretrained(folders[1], dtype=torch.float32)
    model.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    whole, cut = read_full(*folders), read_full(folders[0], tmp_path / "shards")
    assert not (tmp_path / "shards" / SINGLE).exists()
    assert all(torch.equal(cut[name].dense(), change.dense()) for name, change in whole.items())


@pytest.mark.parametrize("pickled", [("base",), ("tuned",), ("base", "tuned")])
def test_trusted_pickles_give_the_same_update(folders: tuple[Path, Path], pickled: tuple[str, ...]) -> None:
    safe = {name: change.dense() for name, change in read_full(*folders).items()}
    for folder in folders:
        if folder.name in pickled:
            torch.save(load_file(folder / SINGLE), folder / "pytorch_model.bin")
            (folder / SINGLE).unlink()
    with pytest.raises(UnsafeFile, match="or pass --allow_pickle if you trust its origin"):
        read_full(*folders)
    update = read_full(*folders, allow_pickle=True)
    assert sorted(update) == sorted(safe)
    assert all(torch.equal(change.dense(), safe[name]) for name, change in update.items())


def test_changes_of_half_precision_are_formed_in_float32(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        edited(folder, **{UP: load_file(folder / SINGLE)[UP].bfloat16()})
    base, tuned = (load_file(folder / SINGLE)[UP].float() for folder in folders)
    change = read_full(*folders)[UP].dense()
    assert change.dtype == torch.float32
    assert torch.equal(change, tuned - base)


def test_no_more_than_one_pair_of_tensors_is_in_memory(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: dict[int, str] = {}
    most = 0
    read = Shards.tensor

    class Watched(Tensor):
        def __del__(self) -> None:
            alive.pop(id(self), None)

    def watched(self: Shards, name: str) -> Tensor:
        nonlocal most
        tensor = read(self, name).as_subclass(Watched)
        alive[id(tensor)] = name
        most = max(most, len(alive))
        return tensor

    monkeypatch.setattr(Shards, "tensor", watched)
    update = read_full(*folders)
    assert most == 0, "tensors were read before they were asked for"
    assert update.norm() > 0
    gc.collect()
    assert most <= 2
    assert not alive


def test_a_tensor_that_only_one_of_them_holds_is_named(folders: tuple[Path, Path]) -> None:
    edited(folders[1], extra=torch.ones(2))
    with pytest.raises(IncompatibleUpdate) as caught:
        read_full(*folders)
    assert str(caught.value) == f"'extra' is only in {folders[1]} (1 such tensors): not the same architecture"
    edited(folders[1], extra=None, **{UP: None})
    with pytest.raises(IncompatibleUpdate) as caught:
        read_full(*folders)
    assert str(caught.value) == f"'{UP}' is only in {folders[0]} (1 such tensors): not the same architecture"


def test_a_tensor_of_another_shape_is_named(folders: tuple[Path, Path]) -> None:
    edited(folders[1], **{UP: torch.ones(2, 2)})
    with pytest.raises(IncompatibleUpdate) as caught:
        read_full(*folders)
    assert str(caught.value) == f"'{UP}' has shape (128, 64) in {folders[0]} and (2, 2) in {folders[1]}"
