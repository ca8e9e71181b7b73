"""What moves along a way, what stays, and what must be known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from holdfast.core.errors import NotMeasurable
from holdfast.weights.paths.catalogue import path_of
from holdfast.weights.paths.starts import Start
from holdfast.weights.paths.ways import additive_way, own_way, straight

Make = Callable[..., Any]
ONE, TWO = torch.tensor([1.0]), torch.tensor([2.0])


def test_only_what_was_trained_moves() -> None:
    final = {"a": TWO, "fixed": TWO}
    points = own_way(final, {"a": Start(True, ONE), "fixed": Start(False, ONE)})
    assert points(0.5)["a"].tolist() == [1.5] and points(0)["a"] is ONE
    for t in (0.0, 0.5, 1.0):
        assert points(t)["fixed"] is TWO
    assert points(1)["a"] is TWO


def test_the_additive_way_scales_one_factor_and_holds_the_other() -> None:
    final = {"x.lora_A.weight": TWO, "x.lora_B.weight": TWO, "x.lora_magnitude_vector": TWO, "lm_head.weight": TWO}
    starts = {
        "x.lora_A.weight": Start(True, None),
        "x.lora_B.weight": Start(True, None),
        "x.lora_magnitude_vector": Start(True, ONE),
        "lm_head.weight": Start(True, ONE),
    }
    found = additive_way(final, starts, {"peft_type": "LORA"})(0.5)
    assert [float(tensor) for tensor in found.values()] == [2.0, 1.0, 1.5, 1.5]
    starts["lm_head.weight"] = Start(True, None)
    with pytest.raises(NotMeasurable, match=r"'lm_head.weight' started at random and nobody kept"):
        additive_way(final, starts, {"peft_type": "LORA"})


def test_a_straight_way_has_its_very_ends() -> None:
    points = straight({"a": TWO}, {"a": ONE})
    assert points(0)["a"] is ONE and points(1)["a"] is TWO


@pytest.mark.parametrize(
    ("tuner", "options"),
    [("oft", {"oft_block_size": 16, "use_cayley_neumann": False}), ("hra", {"r": 4})],
)
def test_rotations_and_reflections_keep_singular_values_and_the_dense_line_does_not(
    made: Make, config: Make, tuner: str, options: dict[str, Any]
) -> None:
    adapter = made(config(tuner, target_modules=["up_proj"], **options), by=0.2)
    weight = adapter.base.model.layers[0].mlp.up_proj.weight.detach()
    before = torch.linalg.svdvals(weight)
    moved = {}
    for label in ("own", "dense"):
        change = path_of(adapter.folder, adapter.base, label, adapter.initial).at(0.5)
        after = torch.linalg.svdvals(weight + change["model.layers.0.mlp.up_proj.weight"].dense())
        moved[label] = float((after - before).abs().max() / before[0])
    assert moved["own"] <= 1e-6 < 1e-2 < moved["dense"]
