"""Levelled paths begin at the base and end at the checkpoint, in its own form, and pass the published points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as Folder
from typing import Any

import pytest
import torch
from layers import EXACT, SERIES, adapter, base, drifting, lengths, update
from peft import PeftModel
from safetensors.torch import load_file, save_file
from small import bits, moved, same_bits
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from holdfast.algebra.generator import angles_rad, eigen_sizes
from holdfast.algebra.rotation import skew
from holdfast.core.errors import NotMeasurable
from holdfast.methods.full import Full
from holdfast.testing.laws import small_model
from holdfast.weights.path import DenseLine, Path
from holdfast.weights.paths.catalogue import path_of
from holdfast.weights.paths.layerwise import Levelling
from holdfast.weights.paths.levelled import (
    Levelled,
    LevelledAdapter,
    LevelledFolder,
    LevelledLine,
    factor_of,
    factor_points,
    level_told,
    turned_points,
)
from holdfast.weights.paths.starts import Start
from holdfast.weights.paths.step import at_step, relative_step
from holdfast.weights.paths.strengths import Rule, drift_strengths, size_strengths, turn_strengths
from holdfast.weights.quiet import quiet
from holdfast.weights.update import Update

Make = Callable[..., Any]


def by_size(whole: Update, rule: Rule = "safe") -> Levelling:
    sizes = lengths(whole)
    return Levelling.of(size_strengths(sizes, base()), sizes, rule)


def by_angle(tensors: Mapping[str, Tensor], rule: Rule = "min") -> Levelling:
    sizes = {name: float(q.norm()) for name, q in tensors.items()}
    return Levelling.of(turn_strengths(tensors, EXACT), sizes, rule)


@pytest.mark.parametrize("rule", ["safe", "min"])
def test_on_the_line_t_is_the_step_and_strengths_are_level_where_it_says(rule: Rule) -> None:
    whole = update()
    line = LevelledLine(whole, "some", by_size(whole, rule))
    assert isinstance(line, Path) and isinstance(line, DenseLine) and line.label == "some"
    for t in (0.0, 0.2, line.levelling.level_t, 0.9, 1.0):
        found = line.at(t)
        assert found.norm() / whole.norm() == pytest.approx(t, abs=1e-9) == relative_step(line, t)
        for name, change in found.items():
            assert (change.factors() is not None) == (name != "head.weight")
    level = line.at(line.levelling.level_t)
    before, after = size_strengths(lengths(whole), base()), size_strengths(lengths(level), base())
    assert after == pytest.approx({layer: min(one, line.levelling.level) for layer, one in before.items()}, rel=1e-6)
    torch.testing.assert_close(level["head.weight"].dense(), whole["head.weight"].dense())
    assert at_step(line, 0.3) == 0.3


@pytest.mark.parametrize("config", [EXACT, SERIES])
def test_generators_are_multiplied_by_their_factors_and_are_the_very_ones_at_the_end(config: dict[str, Any]) -> None:
    tensors = adapter()
    levelling = by_angle(tensors)
    points = turned_points(tensors, levelling, config)
    for t in (0.0, 0.3, levelling.level_t, 0.97):
        factors = levelling.factors(t)
        for name, found in points(t).items():
            torch.testing.assert_close(found, factor_of(name, factors) * tensors[name])
    assert all(points(1.0)[name] is tensor for name, tensor in tensors.items())
    # 2 arctan(c q) lies above c 2 arctan(q): the published c Q leaves strong layers a little too strong.
    level = turn_strengths(points(levelling.level_t), config)
    assert list(level.values()) == pytest.approx([levelling.level] * 6, rel=0.1)
    assert max(level.values()) > levelling.level == pytest.approx(min(level.values()))


def test_tensors_that_are_no_generator_go_from_where_they_began_or_are_refused() -> None:
    tensors = adapter(1) | {"base_model.model.layers.0.norm.weight": torch.tensor([3.0])}
    levelling = by_angle(adapter(1))
    with pytest.raises(NotMeasurable, match=r"'base_model.model.layers.0.norm.weight' is no generator"):
        turned_points(tensors, levelling, EXACT)(0.5)
    found = turned_points(tensors, levelling, EXACT, lambda name: torch.tensor([1.0]))(0.5)
    assert found["base_model.model.layers.0.norm.weight"].tolist() == pytest.approx([2.0])


def test_the_factor_of_each_layer_is_scaled_and_what_multiplies_it_stays() -> None:
    names = [f"base_model.model.layers.{layer}.up.lora_{side}.weight" for layer in range(6) for side in "AB"]
    final = {name: torch.full((2, 2), 1.0 + place) for place, name in enumerate(names)}
    starts = {name: Start(trained=True, value=None) for name in final}
    strengths: dict[int | str, float] = {layer: layer + 1.0 for layer in range(6)}
    levelling = Levelling.of(strengths, {f"layers.{layer}.up.weight": layer + 1.0 for layer in range(6)}, "min")
    points = factor_points(final, starts, {"peft_type": "LORA"}, levelling)
    found = points(levelling.level_t)
    for name, tensor in final.items():
        if "lora_A" in name:
            assert found[name] is tensor
        else:
            layer = int(name.split(".")[3])
            torch.testing.assert_close(found[name], tensor / (layer + 1))
    with pytest.raises(NotMeasurable, match="linear in none of its tensors"):
        factor_points(final, starts, {"peft_type": "HRA"}, levelling)


def stronger(folder: Folder, factor: float = 3.0) -> None:
    """Make the second layer of an adapter or model folder move more than the first."""
    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if "layers.1." in name and "lora_A" not in name:
            tensors[name] = factor * tensor
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("tuner", "options"),
    [("lora", {"r": 4, "modules_to_save": ["lm_head"]}), ("oft", {"oft_block_size": 16}), ("miss", {"r": 4})],
)
@pytest.mark.parametrize("label", ["min_scale", "drift"])
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
def test_an_adapter_is_led_from_the_base_to_the_checkpoint_and_written_as_an_adapter(
    made: Make, config: Make, inputs: Tensor, tmp_path: Folder, tuner: str, options: dict[str, Any], label: str
) -> None:
    adapter = made(config(tuner, **options), by=0.02)
    stronger(adapter.folder)
    before = bits(adapter.base)
    path = path_of(adapter.folder, adapter.base, label, drift=drifts(adapter.base))
    assert isinstance(path, LevelledAdapter) and 0 < path.levelling.level_t < 1
    with quiet():
        checkpoint = PeftModel.from_pretrained(small_model(), str(adapter.folder)).eval()
    with path.walk(adapter.base) as bring:
        assert torch.equal(said(bring(1), inputs), said(checkpoint, inputs))
        level = said(bring(path.levelling.level_t), inputs)
        assert float((said(bring(0), inputs) - adapter.before).abs().max()) <= 1e-6
    assert same_bits(bits(adapter.base), before)
    path.write(path.levelling.level_t, tmp_path / "level")
    with quiet():
        written = PeftModel.from_pretrained(small_model(), str(tmp_path / "level")).eval()
    assert torch.equal(said(written, inputs), level)
    final, found = (load_file(each / "adapter_model.safetensors") for each in (adapter.folder, tmp_path / "level"))
    if label == "min_scale" and tuner == "oft":
        for name, tensor in found.items():
            angles = [float(angles_rad(eigen_sizes(skew(one))).square().mean()) for one in (tensor, final[name])]
            assert (angles[0] < 0.5 * angles[1]) == ("layers.1." in name)
    assert level_told(path).startswith(f"the path '{label}' passes its layer-wise point at t = ")


def test_without_an_additive_path_the_weights_are_levelled(made: Make, config: Make, inputs: Tensor) -> None:
    adapter = made(config("hra", r=4), by=0.02)
    path = path_of(adapter.folder, adapter.base, "min_scale")
    assert isinstance(path, LevelledLine) and path.label == "min_scale"
    with path.walk(adapter.base) as bring:
        assert float((said(bring(1), inputs) - adapter.logits).abs().max()) <= 2e-5
        assert torch.equal(said(bring(0), inputs), adapter.before)


@pytest.mark.parametrize("label", ["min_scale", "drift"])
def test_a_full_model_is_levelled_file_by_file(inputs: Tensor, tmp_path: Folder, label: str) -> None:
    start = small_model()
    moved(Full(), small_model()).save(tmp_path / "tuned")
    path = path_of(tmp_path / "tuned", start, label, drift=drifts(start))
    assert isinstance(path, LevelledFolder)
    at = path.levelling.level_t
    before, end = bits(start), dict(AutoModelForCausalLM.from_pretrained(tmp_path / "tuned").named_parameters())
    for t in (0.0, at, 1.0):
        path.write(t, tmp_path / f"{t}")
        written = AutoModelForCausalLM.from_pretrained(tmp_path / f"{t}").eval()
        with path.walk(start) as bring:
            assert torch.equal(said(bring(t), inputs), said(written, inputs))
        factors = path.levelling.factors(t)
        for name, weight in written.named_parameters():
            begun = dict(start.named_parameters())[name]
            torch.testing.assert_close(weight, begun + factor_of(name, factors) * (end[name] - begun))
    assert same_bits(bits(start), before)
    assert relative_step(path, at) == at == pytest.approx(path.at(at).norm() / path.at(1).norm())


def test_drift_is_level_where_the_path_says_module_by_module() -> None:
    weights, whole = base(), update()
    energies: dict[str, float | str] = {
        name.removesuffix(".weight"): float((whole[name].norm() / weight.norm()) ** 2)
        for name, weight in weights.items()
        if name != "head.weight"
    }
    levelling = Levelling.of(drift_strengths(drifting(energies)), lengths(whole), "min")
    found = LevelledLine(whole, "drift", levelling).at(levelling.level_t)
    for name, weight in weights.items():
        if name != "head.weight":
            assert found[name].norm() / float(weight.norm()) == pytest.approx(levelling.level, rel=1e-5)


def test_the_sentence_tells_where_the_path_is_level_and_how_far_that_is() -> None:
    whole = update()
    line: Levelled = LevelledLine(whole, "min_scale", by_size(whole, "min"))
    levelling = line.levelling
    assert level_told(line) == (
        f"the path 'min_scale' passes its layer-wise point at t = {levelling.level_t:.6g}, {levelling.level_t:.4g} of "
        f"the way by the norm of the update: the strength of its strongest layer is {levelling.level:.4g} there and "
        f"{levelling.strongest:.4g} at the end"
    )


def test_drift_that_nobody_measured_and_too_few_layers_are_refused(made: Make, config: Make, tmp_path: Folder) -> None:
    adapter = made(config("lora", r=4))
    with pytest.raises(NotMeasurable) as caught:
        path_of(adapter.folder, adapter.base, "drift")
    assert str(caught.value) == (
        "the path 'drift' levels how far outputs move on general prompts, and nobody says how far they do: measure it "
        "with holdfast diagnose BASE TUNED --general PROMPTS, and give its diagnosis.json (--drift)"
    )
    with pytest.raises(NotMeasurable, match="the mean strength of the first 5 layers: only 2 were changed"):
        path_of(adapter.folder, adapter.base, "safe_scale")
    turned = made(config("oft", oft_block_size=16, coft=True), name="coft")
    with pytest.raises(NotMeasurable, match="rotations under coft"):
        path_of(turned.folder, turned.base, "min_scale")
    Full().attach(small_model()).save(tmp_path / "still")
    with pytest.raises(NotMeasurable, match="levelling the strengths of layers: no layer moved"):
        path_of(tmp_path / "still", small_model(), "min_scale")


def drifts(model: PreTrainedModel) -> Any:
    linear = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear) and "layers." in name]
    return drifting({name: 0.01 * (1 + place) for place, name in enumerate(linear)})


def said(model: Any, inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(input_ids=inputs).logits
    return found
