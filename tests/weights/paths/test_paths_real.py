"""Paths of real checkpoints, against numbers that an independent implementation found in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from small import bits, same_bits
from transformers import AutoModelForCausalLM, PreTrainedModel

from holdfast.weights.paths.adapter import AdapterPath
from holdfast.weights.paths.catalogue import default_path, path_of
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.paths.step import at_step, relative_step, steps_along
from holdfast.weights.quiet import quiet

pytestmark = pytest.mark.real
TOKENS = torch.arange(3, 103, 2)[None]


@pytest.fixture(scope="module")
def toy(real: Path) -> Path:
    return real / "reference" / "geometry-toy"


@pytest.fixture(scope="module")
def base(toy: Path) -> PreTrainedModel:
    return load(toy / "base")


def load(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    return model


def test_steps_of_rotations_and_the_points_that_match_them(toy: Path, base: PreTrainedModel) -> None:
    own = path_of(toy / "oft-b32", base, "own")
    with steps_along(own) as step:
        assert step(0.3) == pytest.approx(0.3106, abs=1e-4)
        assert step(0.5) == pytest.approx(0.5145, abs=1e-4)
    assert at_step(own, 0.3) == pytest.approx(0.289742, abs=1e-5)
    assert at_step(own, 0.5) == pytest.approx(0.485627, abs=1e-5)
    published = path_of(toy / "oft-b32", base, "cayley_sqrt")
    with steps_along(published) as step:
        assert step(0.3) == pytest.approx(0.5626, abs=1e-4)
        assert step(0.5) == pytest.approx(0.7208, abs=1e-4)
    assert relative_step(path_of(toy / "oft-b32", base, "dense"), 0.3) == 0.3


@pytest.mark.parametrize("checkpoint", ["lora-r8", "oft-b32"])
def test_a_written_point_is_what_peft_alone_opens(
    toy: Path, base: PreTrainedModel, tmp_path: Path, checkpoint: str
) -> None:
    path = default_path(toy / checkpoint, base)
    assert isinstance(path, AdapterPath)
    assert path.label == {"lora-r8": "additive", "oft-b32": "own"}[checkpoint]
    before = bits(base)
    with torch.inference_mode():
        plain = base(input_ids=TOKENS).logits
        with path.walk(base) as bring:
            assert torch.equal(bring(0)(input_ids=TOKENS).logits, plain)
            middle = bring(0.3)(input_ids=TOKENS).logits
        assert same_bits(bits(base), before)
        path.write(0.3, tmp_path / "out")
        with quiet():
            loaded = PeftModel.from_pretrained(load(toy / "base"), str(tmp_path / "out")).eval()
        assert torch.equal(loaded(input_ids=TOKENS).logits, middle)


def test_a_full_model_goes_back_to_the_bits_of_its_base(toy: Path, tmp_path: Path) -> None:
    base = load(toy / "base", torch.bfloat16)
    path = default_path(toy / "full", base)
    assert isinstance(path, FolderLine)
    start, end = bits(base), bits(load(toy / "full", torch.bfloat16))
    with path.walk(base) as bring:
        for t in (0.0, 0.3, 1.0):
            path.write(t, tmp_path / str(t))
            found = bits(load(tmp_path / str(t), torch.bfloat16))
            assert same_bits(found, bits(bring(t)))
            assert same_bits(found, {0.0: start, 1.0: end}.get(t, found))
    assert same_bits(bits(base), start)
