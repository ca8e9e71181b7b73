"""What is wrong with rotations is told from the folder; of other checkpoints nothing is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import upper
from safetensors.torch import load_file, save_file
from torch import Tensor

from holdfast.core.errors import DamagedCheckpoint, UnsafeFile
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.testing.laws import small_model
from holdfast.weights.moving import CONFIG, WEIGHTS
from holdfast.weights.paths.complaints import complaints, marks_to_record, recorded_marks, require_direction
from holdfast.weights.paths.sign_trap import repaired

Save = Callable[..., tuple[Path, Tensor]]
SERIES = {"peft_type": "OFT", "use_cayley_neumann": True, "num_cayley_neumann_terms": 5}


def planted(folder: Path, sizes: dict[str, float], **options: Any) -> Path:
    """An orthogonal adapter whose layers turn one plane each, by a generator of this size."""
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(SERIES | options), encoding="utf-8")
    generators = {}
    for name, size in sizes.items():
        generator = torch.zeros(1, 4, 4)
        generator[0, 0, 1], generator[0, 1, 0] = size, -size
        generators[f"base_model.model.{name}.oft_R.weight"] = upper(generator).contiguous()
    save_file(generators, folder / WEIGHTS)
    return folder


def recorded(folder: Path) -> Path:
    (folder / "holdfast.json").write_text(json.dumps({"step": 8, **marks_to_record(folder)}), encoding="utf-8")
    return folder


def test_of_other_checkpoints_nothing_is_said(saved: Save, tmp_path: Path) -> None:
    Full().attach(small_model()).save(tmp_path / "full")
    for folder in (saved(Lora(r=2))[0], tmp_path / "full", tmp_path / "nothing"):
        assert complaints(folder, None) == ()
        assert marks_to_record(folder) == {}
        require_direction(folder, None)


def test_an_exact_adapter_that_turns_as_recorded_has_no_fault(saved: Save) -> None:
    folder = recorded(saved(Oft(block_size=16))[0])
    assert complaints(folder, recorded_marks(folder)) == ()
    require_direction(folder, recorded_marks(folder))


def test_a_flag_that_was_flipped_is_told_and_refused_and_the_repair_is_accepted(saved: Save) -> None:
    folder = recorded(saved(Oft(block_size=16, exact=False))[0])
    marks, config = recorded_marks(folder), json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    rough = complaints(folder, marks)
    assert not any("record" in each for each in rough)
    (folder / CONFIG).write_text(json.dumps(config | {"use_cayley_neumann": False}), encoding="utf-8")
    (told,) = complaints(folder, marks)
    assert told.startswith("the adapter turns against its record (cosine -")
    assert told.endswith("set it back to True, or negate every oft_R tensor as well, which is the repair: the adapter "
                         "is exactly orthogonal then (repaired in holdfast.weights.paths.sign_trap)")  # fmt: skip
    with pytest.raises(DamagedCheckpoint) as caught:
        require_direction(folder, marks)
    assert str(caught.value) == f"{folder}: {told}"
    tensors, exact = repaired(load_file(folder / WEIGHTS), config)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(exact), encoding="utf-8")
    assert complaints(folder, marks) == ()
    require_direction(folder, marks)


def test_without_a_record_it_is_told_that_nobody_knows(saved: Save) -> None:
    folder, _ = saved(Oft(block_size=16))
    (told,) = complaints(folder, recorded_marks(folder))
    assert told.startswith("whether use_cayley_neumann=False is what the adapter was trained with cannot be told")
    require_direction(folder, None)


def test_rough_layers_are_counted_and_the_worst_are_named(tmp_path: Path) -> None:
    sizes = {f"layers.{layer}.up": 0.1 * layer for layer in range(9)}
    folder = recorded(planted(tmp_path / "rough", sizes))
    (told,) = complaints(folder, recorded_marks(folder))
    # Of four directions two are turned: sqrt(1/2) |(1 - q^4)^2 - 1|, above 0.05 from q = 0.44 on.
    worst = [0.5**0.5 * abs((1 - q**4) ** 2 - 1) for q in (0.8, 0.7, 0.6)]
    assert told == (
        "4 of 9 layers are each a rough rotation, which misses orthogonality by more than 0.05: worst layers.8.up "
        f"{worst[0]:.3g}, layers.7.up {worst[1]:.3g}, layers.6.up {worst[2]:.3g}; the repair makes it exact and keeps "
        "its angles (repaired in holdfast.weights.paths.sign_trap)"
    )


def test_what_is_no_rotation_is_told_apart_from_what_is_rough(tmp_path: Path) -> None:
    folder = recorded(planted(tmp_path / "odd", {"layers.0.up": 0.1, "layers.1.up": 0.6, "layers.2.up": 1.25}))
    no_rotation, rough = complaints(folder, recorded_marks(folder))
    assert no_rotation == (
        "1 of 3 layers is not a rotation, since the generator reaches 1, from where on the series of the Cayley map "
        "turns nothing: layers.2.up 1.25; train with use_cayley_neumann=False"
    )
    assert rough.startswith("1 of 3 layers is a rough rotation") and "layers.1.up" in rough
    exact = planted(tmp_path / "exact", {"layers.2.up": 1.25}, use_cayley_neumann=False)
    assert complaints(recorded(exact), recorded_marks(exact)) == ()


def test_what_cannot_be_told_is_a_complaint_with_the_reason(tmp_path: Path) -> None:
    coft = planted(tmp_path / "coft", {"layers.0.up": 0.1}, coft=True)
    assert complaints(coft, None) == (
        "nothing is known of its rotations: rotations under coft: peft shortens the stored generators whenever they "
        "run",
    )
    assert marks_to_record(coft) == {}
    still = recorded(planted(tmp_path / "still", {"layers.0.up": 0.0}))
    whether = "whether it turns as it was trained to cannot be told: "
    assert complaints(still, recorded_marks(still)) == (f"{whether}the direction of a change that changes nothing",)
    require_direction(still, recorded_marks(still))
    other = recorded(planted(tmp_path / "other", {"layers.7.up": 0.1}))
    assert complaints(other, {"layers.0.up": (1.0,)}) == (
        f"{whether}'layers.0.up' (2 in all) is in the record or in the adapter, and not in both",
    )


def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert recorded_marks(tmp_path) is None
    file = tmp_path / "holdfast.json"
    for text in ("{", "[]", '{"turn_marks": [1]}', '{"turn_marks": {"a": 1}}', '{"turn_marks": {"a": ["b"]}}'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(DamagedCheckpoint, match="holds no record of the direction that can be read"):
            recorded_marks(tmp_path)
    file.write_text('{"step": 8}', encoding="utf-8")
    assert recorded_marks(tmp_path) is None


def test_records_are_short_and_read_back_as_they_were(saved: Save) -> None:
    folder = recorded(saved(Oft(block_size=16))[0])
    (marks,) = marks_to_record(folder).values()
    assert recorded_marks(folder) == marks
    assert all(len(repr(mark)) <= 12 for each in marks.values() for mark in each)


def test_pickles_are_opened_only_where_that_is_allowed(saved: Save) -> None:
    folder, _ = saved(Oft(block_size=16))
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(UnsafeFile):
        complaints(folder, None)
    assert len(complaints(folder, None, allow_pickle=True)) == 1
