"""The line between two models on disk: the bits of either at its ends, ordinary folders everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small import bits, same_bits
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.testing.laws import small_model
from holdfast.weights.path import Walkable
from holdfast.weights.paths.dense import FolderLine, InMemory, write_sum
from holdfast.weights.shards import INDEX, SINGLE, Shards
from holdfast.weights.update import Update

FROZEN = "model.layers.0.self_attn.k_proj.weight"


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A base and a model tuned from it, in several files, with one weight that did not move."""
    model = small_model().to(request.param)
    model.save_pretrained(tmp_path / "base", max_shard_size="50KB")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name != FROZEN:
                tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator).to(tensor.dtype))
    model.save_pretrained(tmp_path / "tuned", max_shard_size="50KB")
    (tmp_path / "tuned" / "tokenizer.json").write_text("{}")
    (tmp_path / "tuned" / "optimizer.pt").write_bytes(b"0")
    return tmp_path / "base", tmp_path / "tuned"


def tensors(folder: Path) -> dict[str, Tensor]:
    return {name: Shards(folder).tensor(name) for name in Shards(folder)}


def opened(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    return model


def test_the_folders_have_several_files(folders: tuple[Path, Path]) -> None:
    assert len(list(folders[1].glob("model-*.safetensors"))) > 2


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_a_written_point_is_an_ordinary_folder(
    folders: tuple[Path, Path], tmp_path: Path, t: float, in_memory: bool
) -> None:
    base, tuned = folders
    line, out = FolderLine(tuned, opened(base) if in_memory else base), tmp_path / "out"
    line.write(t, out)
    before, after, found = tensors(base), tensors(tuned), tensors(out)
    for name, tensor in found.items():
        wanted = (before[name].double() + t * (after[name].double() - before[name].double())).to(tensor.dtype)
        ends = {0.0: before[name], 1.0: after[name]}
        assert tensor.dtype == after[name].dtype
        assert torch.equal(tensor, ends[t]) if t in ends else torch.allclose(tensor, wanted, rtol=1e-2, atol=1e-7)
        if tensor.dtype == torch.float32:
            torch.testing.assert_close(tensor, wanted, rtol=1e-5, atol=1e-7)
    assert torch.equal(found[FROZEN], after[FROZEN])
    assert {file.name for file in out.iterdir()} == {file.name for file in tuned.iterdir()} - {"optimizer.pt"}
    for file in tuned.glob("*.safetensors"):
        with safe_open(file, framework="pt") as one, safe_open(out / file.name, framework="pt") as other:
            assert list(one.keys()) == list(other.keys()) and one.metadata() == other.metadata()
        assert file.stat().st_size == (out / file.name).stat().st_size
    assert json.loads((out / INDEX).read_text()) == json.loads((tuned / INDEX).read_text())


def test_transformers_alone_opens_a_written_point(folders: tuple[Path, Path], inputs: Tensor, tmp_path: Path) -> None:
    base, tuned = folders
    line = FolderLine(tuned, base)
    line.write(0.3, tmp_path / "out")
    model = opened(base)
    before = bits(model)
    with line.walk(model) as bring, torch.inference_mode():
        torch.testing.assert_close(
            opened(tmp_path / "out")(input_ids=inputs).logits, bring(0.3)(input_ids=inputs).logits, rtol=0, atol=2e-5
        )
        assert bring(0) is model and same_bits(bits(model), before)
        assert same_bits(bits(bring(1)), bits(opened(tuned)))
        assert torch.equal(bring(1)(input_ids=inputs).logits, opened(tuned)(input_ids=inputs).logits)
    assert same_bits(bits(model), before)


def test_the_end_has_the_bits_of_the_folder_where_a_sum_would_round(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.get_parameter(FROZEN).fill_(1e4)
    before = bits(model)
    tuned = small_model()
    with torch.no_grad():
        tuned.get_parameter(FROZEN).fill_(1 / 3)
    tuned.save_pretrained(tmp_path / "tuned")
    line = FolderLine(tmp_path / "tuned", model)
    assert float(1e4 + (torch.tensor(1 / 3) - 1e4)) != float(torch.tensor(1 / 3))
    with line.walk(model) as bring:
        assert same_bits(bits(bring(1)), bits(tuned))
        assert same_bits(bits(bring(0)), before)


def test_updates_along_the_line_are_read_when_they_are_used(folders: tuple[Path, Path]) -> None:
    base, tuned = folders
    line = FolderLine(tuned, opened(base))
    assert isinstance(line, Walkable) and line.label == "dense"
    before, after = tensors(base), tensors(tuned)
    assert line.at(0.5).keys() == after.keys()
    for name, change in line.at(0.5).items():
        torch.testing.assert_close(change.dense(), 0.5 * (after[name].float() - before[name].float()))
        assert change.shape == tuple(after[name].shape)
        assert torch.equal(change.to("cpu").dense(), change.dense())


def test_a_walk_that_breaks_off_leaves_the_base_whole(folders: tuple[Path, Path]) -> None:
    base, tuned = folders
    model = opened(base)
    before = bits(model)
    for t in (0.5, 1.0):
        with pytest.raises(KeyboardInterrupt), FolderLine(tuned, base).walk(model) as bring:
            bring(t)
            raise KeyboardInterrupt
        assert same_bits(bits(model), before)


def test_no_more_than_one_file_of_weights_is_held(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(
        "holdfast.weights.paths.dense.save_file",
        lambda found, path, metadata: saved.append(sum(tensor.nbytes for tensor in found.values())) or path.touch(),
    )
    FolderLine(folders[1], folders[0]).write(0.5, tmp_path / "out")
    assert len(saved) > 2 and max(saved) < 0.5 * sum(saved)


def test_the_line_between_other_architectures_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    _, tuned = folders
    config = small_model().config
    shallow = LlamaForCausalLM(LlamaConfig(**{**config.to_dict(), "num_hidden_layers": 1}))
    with pytest.raises(IncompatibleUpdate) as caught:
        FolderLine(tuned, shallow)
    assert str(caught.value) == (
        f"'model.layers.1.input_layernorm.weight' is only in {tuned} (9 such tensors): "
        f"{tuned} was not tuned from this base"
    )
    wide = LlamaForCausalLM(LlamaConfig(**{**config.to_dict(), "vocab_size": 130}))
    with pytest.raises(IncompatibleUpdate) as caught:
        FolderLine(tuned, wide)
    assert str(caught.value).endswith(
        f"has shape (130, 64) in the base and (128, 64) in {tuned}, which was not tuned from this base"
    )


def test_whole_numbers_have_no_values_in_between(tmp_path: Path) -> None:
    for name, value in (("base", 1), ("tuned", 2)):
        (tmp_path / name).mkdir()
        save_file({"a": torch.tensor([value]), "b": torch.tensor([7])}, tmp_path / name / SINGLE)
    line = FolderLine(tmp_path / "tuned", tmp_path / "base")
    assert [int(line.tensor("a", t)) for t in (0, 1)] == [1, 2]
    assert int(line.tensor("b", 0.5)) == 7
    with pytest.raises(
        NotMeasurable, match=r"'a' holds whole numbers \(torch.int64\), which have no values in between"
    ):
        line.tensor("a", 0.5)


def test_a_base_with_an_update_is_written_as_a_model(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, _ = folders
    model = opened(base)
    update = Update({FROZEN: Dense(torch.full(model.get_parameter(FROZEN).shape, 0.5))})
    write_sum(base, update, tmp_path / "out")
    with update.added_to(model):
        assert same_bits(bits(model), bits(opened(tmp_path / "out")))
    with pytest.raises(IncompatibleUpdate, match=r"'odd' changes \(1 in all\) and is not in the files of"):
        write_sum(base, Update({"odd": Dense(torch.ones(1))}), tmp_path / "other")


def test_weights_in_memory_are_read_by_name() -> None:
    layer = nn.Linear(3, 2)
    found = InMemory(layer)
    assert list(found) == ["weight", "bias"] and "bias" in found and "odd" not in found
    assert found.shape("weight") == (2, 3) and torch.equal(found.tensor("weight"), layer.weight)
