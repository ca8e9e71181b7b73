"""Updates of real checkpoints, against numbers that an independent implementation found in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import cayley, orthogonality_defect, skew
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update

pytestmark = pytest.mark.real

CHECKPOINTS = ("full", "lora-r8", "oft-b32")
GATE = "model.layers.18.mlp.gate_proj"


def weight_of(toy_base: PreTrainedModel, layer: str) -> torch.Tensor:
    return dict(toy_base.named_parameters())[f"{layer}.weight"].detach().double()


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_sizes_and_ranks_are_those_of_the_independent_implementation(
    toy_base: PreTrainedModel, toy_updates: dict[str, Update], independent: dict[str, Any], checkpoint: str
) -> None:
    layers = independent["weights"][checkpoint]
    assert len(layers) == 3
    for layer, wanted in layers.items():
        if "undefined" in wanted:
            assert f"{layer}.weight" not in toy_updates[checkpoint]
            continue
        change, weight = toy_updates[checkpoint][f"{layer}.weight"], weight_of(toy_base, layer)
        values = change.singular_values().double()
        shares = values / values.sum()
        found = {
            "relative_size_frobenius": change.norm() / float(weight.norm()),
            "relative_size_spectral": float(values[0] / torch.linalg.matrix_norm(weight, 2)),
            "stable_rank": (change.norm() / float(values[0])) ** 2,
            "entropy_rank": float((-shares * shares.clamp(min=1e-30).log()).sum().exp()),
        }
        # The tolerance of the fixture for ranks: relative 1e-5.
        assert found == pytest.approx({name: wanted[name] for name in found}, rel=1e-5)
        assert list(change.shape) == wanted["shape"]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_singular_values_move_as_the_independent_implementation_says(
    toy_base: PreTrainedModel, toy_updates: dict[str, Update], independent: dict[str, Any], checkpoint: str
) -> None:
    for layer, wanted in independent["weights"][checkpoint].items():
        if "undefined" in wanted:
            continue
        weight = weight_of(toy_base, layer)
        before = torch.linalg.svdvals(weight)
        moved = torch.linalg.svdvals(weight + toy_updates[checkpoint][f"{layer}.weight"].dense().double()) - before
        assert float(moved.norm() / before.norm()) == pytest.approx(wanted["singular_value_change_relative"], rel=1e-4)
        assert float(moved.abs().max() / before[0]) == pytest.approx(wanted["singular_value_change_peak"], rel=1e-4)


def test_the_update_of_lora_is_of_rank_8_and_leaves_other_layers_alone(toy_updates: dict[str, Update]) -> None:
    update = toy_updates["lora-r8"]
    assert len(update) == 19 * 5
    for name, change in update.items():
        assert isinstance(change, LowRank)
        assert name.split(".")[-2] in {"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"}
        assert not change.singular_values()[8:].any()
    assert f"{GATE}.weight" not in update


def test_the_five_term_series_of_oft_is_no_rotation(
    toy: Path, toy_base: PreTrainedModel, toy_updates: dict[str, Update], independent: dict[str, Any]
) -> None:
    stored = Shards(toy / "oft-b32", single="adapter_model.safetensors")
    wanted = independent["oft_paths"]["neumann5"]
    defects, exact_defects, moved, whole = [], [], 0.0, 0.0
    for name in stored:
        generator = skew(stored.tensor(name).double())
        layer = name.removeprefix("base_model.model.").removesuffix(".oft_R.weight")
        shrink = torch.eye(32, dtype=torch.float64) - torch.linalg.matrix_power(generator, 4)
        rotation = cayley(generator) @ shrink
        weight = weight_of(toy_base, layer)
        turned = torch.block_diag(*rotation.mT)
        change = toy_updates["oft-b32"][f"{layer}.weight"]
        torch.testing.assert_close(change.dense().double(), weight @ turned - weight, rtol=0, atol=2e-6)
        defects += [orthogonality_defect(block[None]) for block in rotation]
        exact_defects += [orthogonality_defect(block[None]) for block in cayley(generator)]
        moved, whole = moved + change.norm() ** 2, whole + float(weight.norm()) ** 2
    assert sum(defects) / len(defects) == pytest.approx(wanted["defect_mean"], rel=1e-5)
    assert max(defects) == pytest.approx(wanted["defect_max"], rel=1e-5)
    assert (moved / whole) ** 0.5 == pytest.approx(wanted["relative_size"], rel=1e-5)
    assert max(exact_defects) < 1e-14


def test_the_spectra_that_public_tools_print_are_found_again(
    toy_updates: dict[str, Update], printed: dict[str, Any]
) -> None:
    tolerances, compared = printed["tolerances"]["spectral"], 0
    for checkpoint, update in toy_updates.items():
        for name, wanted in printed["spectral"][checkpoint].items():
            if name in update:
                values = update[name].singular_values().double()
                rank = float((values**2).sum() / values[0] ** 2)
                assert rank == pytest.approx(wanted["effective_rank"], rel=tolerances["effective_rank"])
                top = wanted["delta_sv_top5"]
                assert values[:5].tolist() == pytest.approx(top, rel=tolerances["delta_sv"])
                compared += 1
    assert compared > 30
