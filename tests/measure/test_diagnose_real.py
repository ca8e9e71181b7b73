"""A real pretrained model against what plain peft and plain transformers made of it, on real stories and real plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, OFTConfig, PeftConfig, get_peft_model
from small import bits, same_bits

from holdfast.core.diagnosis import CONTROL, UPDATE, Diagnosis
from holdfast.measure.diagnose import Asked, Diagnosing, diagnose
from holdfast.measure.patients import patient
from holdfast.models.base import Base, open_base
from holdfast.probes.activation_geometry import ActivationGeometry
from holdfast.probes.tokens import TokenChoice
from holdfast.store.spectra import CACHE
from holdfast.weights.quiet import quiet

pytestmark = pytest.mark.real

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CONFIGS: dict[str, Callable[[], PeftConfig]] = {
    "lora": lambda: LoraConfig(r=8, target_modules=LINEAR),
    "pissa": lambda: LoraConfig(r=8, target_modules=LINEAR, init_lora_weights="pissa"),
    "oft": lambda: OFTConfig(oft_block_size=16, target_modules=LINEAR, use_cayley_neumann=False),
}
HOW = Diagnosing(activations=ActivationGeometry(subspaces=(8, 32)), choice=TokenChoice(tokens=8))


def prompts(base: Base, real: Path) -> dict[str, Asked]:
    stories = (real / "data/tinystories/tinystories_sample_2MiB.txt").read_text(encoding="utf-8")
    plays = next((real / "data/tinyshakespeare").glob("*.txt")).read_text(encoding="utf-8")
    texts = {
        "general": [story.strip()[:300] for story in stories.split("<|endoftext|>")[1:41]],
        "target": [part[:300] for part in plays.split("\n\n") if len(part) > 120][:40],
    }
    return {
        role: Asked(role, [tuple(base.tokenizer(text)["input_ids"]) for text in each]) for role, each in texts.items()
    }


def fine_tuned(base: Base, config: PeftConfig | None, plays: Asked, folder: Path) -> None:
    """Twenty plain steps on plays, written by plain peft or transformers; the base in memory is spoilt by it."""
    rows = [ids[:64] for ids in plays.prompts if len(ids) >= 64]
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(2)
        model: Any = base.model if config is None else get_peft_model(base.model, config)
        rate = 3e-4 if config is None else 5e-3
        optimizer = torch.optim.AdamW([tensor for tensor in model.parameters() if tensor.requires_grad], lr=rate)
        for step in range(20):
            ids = torch.tensor([rows[(8 * step + at) % len(rows)] for at in range(8)])
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.save_pretrained(str(folder))


@pytest.fixture(scope="module", params=[*CONFIGS, "full"])
def diagnosed(
    request: pytest.FixtureRequest, real: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Diagnosis]:
    folder, where = tmp_path_factory.mktemp(request.param), str(real / "models/stories3M")
    spoilt, config = open_base(where), CONFIGS.get(request.param)
    fine_tuned(spoilt, config and config(), prompts(spoilt, real)["target"], folder)
    base = open_base(where)
    before = bits(base.model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(folder / "cache"))
        found = diagnose(patient(where, folder, base), prompts(base, real), HOW)
    assert same_bits(bits(base.model), before)
    return request.param, found


def values(found: Diagnosis, quantity: str, subject: str = UPDATE) -> dict[str, float]:
    return {
        one.site: one.value
        for one in found.records
        if (one.quantity, one.subject) == (quantity, subject) and one.value is not None and one.site
    }


def test_every_linear_layer_has_its_numbers(diagnosed: tuple[str, Diagnosis]) -> None:
    _, found = diagnosed
    layers = {site.name for site in found.sites if site.block is not None and site.shape}
    assert len(layers) % len(LINEAR) == 0
    for quantity in ("relative_size_frobenius", "drift_relative/general", "drift_relative/target", "intruders/left"):
        assert {site for site in values(found, quantity) if ".layers." in site} == layers
    assert {one.subject for one in found.records} >= {UPDATE, CONTROL}


def test_the_shape_of_the_update_is_that_of_its_method(diagnosed: tuple[str, Diagnosis]) -> None:
    method, found = diagnosed
    entropy, moved = values(found, "entropy_rank"), values(found, "singular_value_change")
    if method == "lora":
        assert max(entropy.values()) <= 8
    if method == "oft":
        assert max(moved.values()) == 0
    else:
        assert min(moved.values()) > 0
    if method == "pissa":
        assert max(values(found, "stable_rank").values()) <= 16
        # What it began with is no change: all of it together is many times as large as what was trained.
        assert max(values(found, "relative_size_frobenius").values()) < 0.8


def test_activations_move_less_than_unrelated_ones_are_apart(diagnosed: tuple[str, Diagnosis]) -> None:
    _, found = diagnosed
    for role in ("general", "target"):
        residual = values(found, f"procrustes_residual/{role}")
        null = values(found, f"procrustes_residual/{role}", "tokens of other prompts")
        assert set(residual) == set(null)
        assert all(residual[site] < null[site] for site in residual)
