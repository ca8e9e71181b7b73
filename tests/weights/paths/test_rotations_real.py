"""Orthogonal paths on real files, against numbers that an independent implementation found in float64."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from holdfast.algebra.generator import Clock
from holdfast.core.errors import DamagedCheckpoint
from holdfast.weights.adapter import read_adapter
from holdfast.weights.path import DenseLine
from holdfast.weights.paths.catalogue import path_of
from holdfast.weights.paths.complaints import complaints, marks_to_record, require_direction
from holdfast.weights.paths.levelled import LevelledAdapter, level_told
from holdfast.weights.paths.rotations import clocked, orthogonality, turned
from holdfast.weights.paths.sign_trap import flipped, marks_of, repaired, sign_trap, turn_marks
from holdfast.weights.paths.step import relative_step
from holdfast.weights.paths.strengths import reference, turn_strengths
from holdfast.weights.update import Update

pytestmark = pytest.mark.real

Tensors = dict[str, Tensor]
DOWN = "model.layers.18.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def series(toy: Path) -> dict[str, Any]:
    return json.loads((toy / "oft-b32" / "adapter_config.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def configs(series: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"neumann5": series, "exact_cayley": series | {"use_cayley_neumann": False}}


@pytest.fixture(scope="module")
def tensors(toy: Path) -> Tensors:
    return {name: one.double() for name, one in load_file(toy / "oft-b32" / "adapter_model.safetensors").items()}


@pytest.fixture(scope="module")
def weights(toy: Path) -> Tensors:
    return {name: one.double() for name, one in load_file(toy / "base" / "model.safetensors").items()}


@pytest.fixture(scope="module")
def model(toy: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(toy / "base", dtype=torch.float32)


@pytest.fixture(scope="module")
def losses(toy: Path, model: PreTrainedModel) -> Callable[[Update], dict[str, float]]:
    """Mean loss in nats a token of the base with an update, on each set of prompts."""
    tokenizer = AutoTokenizer.from_pretrained(toy / "base")
    target = (toy / "prompts" / "target.jsonl").read_text(encoding="utf-8").splitlines()
    texts = {
        "general": (toy / "prompts" / "general.txt").read_text(encoding="utf-8").splitlines(),
        "target": [json.loads(line)["question"] for line in target],
    }
    prompts = {data: [torch.tensor([ids]) for ids in tokenizer(some)["input_ids"]] for data, some in texts.items()}

    def measure(update: Update) -> dict[str, float]:
        with update.added_to(model), torch.inference_mode():
            return {data: mean_loss(model, some) for data, some in prompts.items()}

    return measure


def mean_loss(model: PreTrainedModel, prompts: list[Tensor]) -> float:
    total, tokens = 0.0, 0
    for ids in prompts:
        chances = model(ids).logits[0, :-1].double().log_softmax(-1)
        total -= float(chances.gather(1, ids[0, 1:, None]).sum())
        tokens += ids.shape[1] - 1
    return total / tokens


def distortion(update: Update, weights: Mapping[str, Tensor]) -> float:
    """How far all singular values of all changed weights moved, relative to their norm."""
    moved, whole = 0.0, 0.0
    for name, change in update.items():
        before = torch.linalg.svdvals(weights[name])
        after = torch.linalg.svdvals(weights[name] + change.dense())
        moved, whole = moved + float((after - before).square().sum()), whole + float(before.square().sum())
    return (moved / whole) ** 0.5


def cosine(one: Update, other: Update) -> float:
    product = sum(float((one[name].dense() * other[name].dense()).sum()) for name in one)
    return product / one.norm() / other.norm()


@pytest.mark.parametrize("form", ["neumann5", "exact_cayley"])
def test_steps_along_paths_are_those_of_the_independent_implementation(
    tensors: Tensors, weights: Tensors, configs: dict[str, Any], independent: dict[str, Any], form: str
) -> None:
    config, wanted = configs[form], independent["oft_paths"][form]
    whole = turned(tensors, config, weights)
    size = sum(float(weights[name].square().sum()) for name in whole) ** 0.5
    assert whole.norm() / size == pytest.approx(wanted["relative_size"], abs=1e-8)
    clocks: dict[str, Clock] = {"generator_a": "linear", "generator_sqrt_a": "sqrt"}
    for a, paths in wanted["points"].items():
        for path, clock in clocks.items():
            found = turned(clocked(tensors, float(a), clock, config=config), config, weights).norm() / whole.norm()
            assert found == pytest.approx(paths[path]["relative_step"], abs=1e-8)
    for step, scale in wanted["generator_scale_at_step"].items():
        point = turned(clocked(tensors, scale, config=config), config, weights)
        # The step grows by about one for each one of the scale, which is given to 1e-9.
        assert point.norm() / whole.norm() == pytest.approx(float(step), abs=1e-8)


@pytest.mark.parametrize("form", ["neumann5", "exact_cayley"])
def test_singular_values_along_paths_are_those_of_the_independent_implementation(
    tensors: Tensors, weights: Tensors, configs: dict[str, Any], independent: dict[str, Any], form: str
) -> None:
    config, wanted = configs[form], independent["oft_paths"][form]
    whole, points = turned(tensors, config, weights), wanted["points"]["0.5"]
    found = {
        "final": distortion(whole, weights),
        "dense": distortion(DenseLine(whole).at(0.5), weights),
        "generator_a": distortion(turned(clocked(tensors, 0.5, config=config), config, weights), weights),
        "generator_sqrt_a": distortion(turned(clocked(tensors, 0.5, "sqrt", config=config), config, weights), weights),
        "geodesic": distortion(turned(clocked(tensors, 0.5, "geodesic", config=config), config, weights), weights),
    }
    assert found["final"] == pytest.approx(wanted["singular_value_distortion_final"], rel=1e-6, abs=1e-13)
    for path in points:
        assert found[path] == pytest.approx(points[path]["singular_value_distortion"], rel=1e-6, abs=1e-13)
    assert found["geodesic"] < (1e-13 if form == "exact_cayley" else found["generator_sqrt_a"])


def test_defects_are_those_of_the_independent_implementation(
    tensors: Tensors, configs: dict[str, Any], independent: dict[str, Any]
) -> None:
    found = orthogonality(tensors, configs["neumann5"])
    defects = [defect for one in found.values() for defect in one.defects]
    wanted = independent["oft_paths"]["neumann5"]
    assert sum(defects) / len(defects) == pytest.approx(wanted["defect_mean"], rel=1e-8)
    assert max(defects) == pytest.approx(wanted["defect_max"], rel=1e-8)
    assert max(one.largest for one in found.values()) < 0.51
    assert not any(one.complaint() for one in found.values())


def test_strengths_by_layer_are_those_of_the_independent_implementation(
    tensors: Tensors, series: dict[str, Any], independent: dict[str, Any]
) -> None:
    found = turn_strengths(tensors, series)
    assert list(found) == list(range(19))
    wanted = independent["oft_paths"]["layer_strength_rms_angle_rad"]
    assert list(found.values()) == pytest.approx(wanted, abs=1e-9)
    assert reference(found, "safe") == pytest.approx(0.222735, abs=1e-6)
    assert reference(found, "min") == pytest.approx(0.199184, abs=1e-6)


@pytest.mark.parametrize("form", ["neumann5", "exact_cayley"])
def test_the_update_of_the_generators_is_what_peft_makes_of_them(
    tensors: Tensors, model: PreTrainedModel, configs: dict[str, Any], toy: Path, tmp_path: Path, form: str
) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes((toy / "oft-b32/adapter_model.safetensors").read_bytes())
    (tmp_path / "adapter_config.json").write_text(json.dumps(configs[form]), encoding="utf-8")
    wanted = read_adapter(tmp_path, model)
    found = turned(tensors, configs[form], dict(model.named_parameters()))
    assert set(found) == set(wanted)
    for name, change in found.items():
        torch.testing.assert_close(change.dense().float(), wanted[name].dense(), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("label", "key"), [("safe_scale", "safescale"), ("min_scale", "minscale")])
def test_level_strengths_have_the_losses_of_the_independent_implementation(
    toy: Path,
    model: PreTrainedModel,
    weights: Tensors,
    series: dict[str, Any],
    independent: dict[str, Any],
    losses: Callable[[Update], dict[str, float]],
    label: str,
    key: str,
) -> None:
    path = path_of(toy / "oft-b32", model, label)
    assert isinstance(path, LevelledAdapter)
    at, level = path.levelling.level_t, path.levelling.level
    wanted = independent["losses_nats_per_token"][f"oft-b32 {key}"]
    assert losses(turned(path.tensors(at), series, weights)) == pytest.approx(wanted, abs=1e-4)
    # The published c Q levels to first order: two per cent remain.
    assert 1.01 < max(turn_strengths(path.tensors(at), series).values()) / level < 1.02
    assert relative_step(path, at) == pytest.approx({"safe_scale": 0.838133, "min_scale": 0.758132}[label], abs=1e-5)
    assert at == pytest.approx({"safe_scale": 0.828957, "min_scale": 0.746591}[label], abs=1e-6)
    assert f"at t = {at:.6g}, {relative_step(path, at):.4g} of the way" in level_told(path)


def test_the_report_of_a_folder_tells_its_trap_and_that_nobody_knows_without_a_record(
    toy: Path, tmp_path: Path, series: dict[str, Any]
) -> None:
    (unknown,) = complaints(toy / "oft-b32", None)
    assert unknown.startswith("whether use_cayley_neumann=True is what the adapter was trained with cannot be told")
    recorded = marks_to_record(toy / "oft-b32")["turn_marks"]
    tensors = load_file(toy / "oft-b32" / "adapter_model.safetensors")
    defects = [defect for one in orthogonality(tensors, series).values() for defect in one.defects]
    assert sum(defects) / len(defects) == pytest.approx(0.006887, abs=5e-7)
    assert max(defects) == pytest.approx(0.03187, abs=5e-6)
    assert complaints(toy / "oft-b32", recorded) == ()  # a defect is told from 0.05 on
    shutil.copy(toy / "oft-b32" / "adapter_model.safetensors", tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps(series | {"use_cayley_neumann": False}), encoding="utf-8")
    (told,) = complaints(tmp_path, recorded)
    assert told.startswith("the adapter turns against its record (cosine -1.00)")
    with pytest.raises(DamagedCheckpoint):
        require_direction(tmp_path, recorded)


@pytest.mark.parametrize(("path", "clock"), [("generator_a", "linear"), ("generator_sqrt_a", "sqrt")])
def test_points_have_the_losses_of_the_independent_implementation(
    tensors: Tensors,
    weights: Tensors,
    series: dict[str, Any],
    independent: dict[str, Any],
    losses: Callable[[Update], dict[str, float]],
    path: str,
    clock: Clock,
) -> None:
    for a in (0.3, 0.5):
        point = turned(clocked(tensors, a, clock, config=series), series, weights)
        wanted = independent["losses_nats_per_token"][f"oft-b32 {path} {a}"]
        assert losses(point) == pytest.approx(wanted, abs=1e-4)
    assert losses(turned(tensors, series, weights)) == pytest.approx(
        independent["losses_nats_per_token"]["oft-b32"], abs=1e-4
    )


def test_the_sign_trap_is_detected_and_the_repair_keeps_the_model(
    tensors: Tensors, weights: Tensors, configs: dict[str, Any], losses: Callable[[Update], dict[str, float]]
) -> None:
    series, exact = configs["neumann5"], configs["exact_cayley"]
    recorded, trained = turn_marks(tensors, series), turned(tensors, series, weights)
    trapped = turned(tensors, exact, weights)
    assert sign_trap(tensors, exact, recorded).answer == "reversed"
    assert sign_trap(flipped(tensors), series, recorded).answer == "reversed"
    assert sign_trap(tensors, series, recorded).answer == "as recorded"
    assert cosine(trained.only(DOWN.__eq__), trapped.only(DOWN.__eq__)) == pytest.approx(-0.838, abs=1e-3)
    assert cosine(trained, trapped) == pytest.approx(-0.865, abs=1e-3)
    assert losses(trapped)["target"] == pytest.approx(8.450, abs=1e-3)
    assert set(marks_of(trained)) == set(trained)

    new, config = repaired(tensors, series)
    assert sign_trap(new, config, recorded).answer == "as recorded"
    mended = turned(new, config, weights)
    assert cosine(trained, mended) > 0.9998
    assert cosine(trained.only(DOWN.__eq__), mended.only(DOWN.__eq__)) == pytest.approx(0.99981, abs=1e-5)
    difference = float((trained[DOWN].dense() - mended[DOWN].dense()).norm()) / trained[DOWN].norm()
    assert difference == pytest.approx(0.020, abs=5e-4)
    assert distortion(mended, weights) < 1e-13
    assert losses(mended) == pytest.approx({"general": 3.4552, "target": 0.8727}, abs=1e-4)
