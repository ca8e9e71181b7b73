"""Every point of an adapter path is an ordinary adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small import bits, same_bits
from torch import Tensor

from holdfast.core.errors import NotMeasurable
from holdfast.testing.laws import small_model
from holdfast.weights.moving import WEIGHTS
from holdfast.weights.path import Walkable
from holdfast.weights.paths.adapter import AdapterPath, stored_tensors
from holdfast.weights.quiet import quiet

Make = Callable[..., Any]


def scaled(folder: Path, part: str) -> Callable[[float], dict[str, Tensor]]:
    final = stored_tensors(folder)
    return lambda t: {name: t * tensor if part in name and t != 1 else tensor for name, tensor in final.items()}


@pytest.fixture
def path(made: Make, config: Make) -> tuple[AdapterPath, Any]:
    adapter = made(config("lora", r=4))
    return AdapterPath(adapter.folder, adapter.base, "mine", scaled(adapter.folder, "lora_B")), adapter


def test_it_is_a_path_that_can_be_walked(path: tuple[AdapterPath, Any]) -> None:
    assert isinstance(path[0], Walkable) and path[0].label == "mine"


def test_points_are_visited_in_any_order(path: tuple[AdapterPath, Any], inputs: Tensor) -> None:
    line, adapter = path
    found: dict[float, list[Tensor]] = {}
    with line.walk(adapter.base) as bring, torch.inference_mode():
        for t in (1.0, 0.0, 0.5, 0.5, 1.0, 0.25, 0.0, 0.5, 0.25):
            found.setdefault(t, []).append(bring(t)(input_ids=inputs).logits)
    assert all(torch.equal(first, other) for first, *others in found.values() for other in others)
    assert torch.equal(found[0.0][0], adapter.before)
    assert torch.equal(found[1.0][0], adapter.logits)
    assert not torch.equal(found[0.25][0], found[0.5][0])


def test_a_walk_that_breaks_off_leaves_the_base_whole(path: tuple[AdapterPath, Any]) -> None:
    line, adapter = path
    before = bits(adapter.base)
    with pytest.raises(KeyboardInterrupt), line.walk(adapter.base) as bring:
        bring(0.5)
        raise KeyboardInterrupt
    assert same_bits(bits(adapter.base), before)


def test_updates_along_the_path_are_those_of_each_point(path: tuple[AdapterPath, Any]) -> None:
    line, _ = path
    whole, points = line.at(1), {t: line.at(t) for t in (0.0, 0.5, 1.0)}
    with line.updates() as at:
        for t in (0.5, 0.0, 1.0, 0.5):
            for name, change in at(t).items():
                assert torch.equal(change.dense(), points[t][name].dense())
                torch.testing.assert_close(change.dense(), t * whole[name].dense())


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_a_written_point_is_the_same_adapter_with_other_values(
    path: tuple[AdapterPath, Any], inputs: Tensor, tmp_path: Path, t: float
) -> None:
    line, adapter = path
    (adapter.folder / "tokenizer.json").write_text("{}")
    line.write(t, tmp_path / "out")
    before, after = load_file(adapter.folder / WEIGHTS), load_file(tmp_path / "out" / WEIGHTS)
    assert [(n, x.dtype, x.shape) for n, x in before.items()] == [(n, x.dtype, x.shape) for n, x in after.items()]
    for folder in (adapter.folder, tmp_path / "out"):
        with safe_open(folder / WEIGHTS, framework="pt") as stored:
            assert stored.metadata() == {"format": "pt"}
    for file in ("adapter_config.json", "tokenizer.json", "README.md"):
        assert (adapter.folder / file).read_bytes() == (tmp_path / "out" / file).read_bytes()
    if t == 1:
        assert (adapter.folder / WEIGHTS).read_bytes() == (tmp_path / "out" / WEIGHTS).read_bytes()
    with quiet():
        loaded = PeftModel.from_pretrained(small_model(), str(tmp_path / "out")).eval()
    with line.walk(adapter.base) as bring, torch.inference_mode():
        assert torch.equal(loaded(input_ids=inputs).logits, bring(t)(input_ids=inputs).logits)


def test_stored_types_are_kept(made: Make, config: Make, tmp_path: Path) -> None:
    adapter = made(config("lora", r=4))
    halves = {name: tensor.bfloat16() for name, tensor in load_file(adapter.folder / WEIGHTS).items()}
    save_file(halves, adapter.folder / WEIGHTS, metadata={"format": "pt"})
    line = AdapterPath(adapter.folder, adapter.base, "mine", scaled(adapter.folder, "lora_B"))
    line.write(0.5, tmp_path / "out")
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / WEIGHTS).values()} == {torch.bfloat16}


def test_what_is_there_already_is_not_written_over(path: tuple[AdapterPath, Any]) -> None:
    line, adapter = path
    with pytest.raises(FileExistsError, match="is there already"):
        line.write(0.5, adapter.folder)


def test_a_tensor_that_does_not_run_as_it_is_stored_is_refused(made: Make, config: Make) -> None:
    options = {"vector_length": 16, "num_vectors": 16, "save_only_topk_weights": True}
    adapter = made(config("vblora", **options))
    before = bits(adapter.base)
    line = AdapterPath(adapter.folder, adapter.base, "mine", scaled(adapter.folder, "topk_weights"))
    with pytest.raises(NotMeasurable, match="is run in another form than it is stored in"), line.updates() as at:
        at(0.5)
    assert same_bits(bits(adapter.base), before)
