"""A written point is an ordinary checkpoint that says what the point says, or it is not left on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from small import METHODS, bits, moved, same_bits
from transformers import AutoModelForCausalLM

from holdfast.core.errors import DamagedCheckpoint, ModelNotFound, NotMeasurable
from holdfast.measure import rewound
from holdfast.measure.rewound import write_point
from holdfast.models.base import Base, located, open_base
from holdfast.weights.paths.catalogue import default_path, path_of
from holdfast.weights.paths.checkpoints import CheckpointPath
from holdfast.weights.quiet import quiet


@pytest.fixture(scope="module")
def adapters(miniature: Base, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name in ("lora", "oft", "full"):
        folders[name] = tmp_path_factory.mktemp("rewound") / name
        attachment = moved(METHODS[name], miniature.model)
        attachment.save(folders[name])
        attachment.detach()
    return folders


@pytest.mark.parametrize("name", ["lora", "oft", "full"])
@pytest.mark.parametrize("t", [0.3, 1.0])
def test_a_written_point_is_opened_by_its_own_library_alone(
    miniature: Base, adapters: dict[str, Path], tmp_path: Path, name: str, t: float
) -> None:
    before = bits(miniature.model)
    path = default_path(adapters[name], miniature.model)
    assert write_point(path, t, tmp_path / "out", miniature) <= 1e-5
    ids = torch.arange(3, 19)[None]
    with path.walk(miniature.model) as bring, torch.no_grad():
        wanted = bring(t)(input_ids=ids).logits
    with quiet():
        base = AutoModelForCausalLM.from_pretrained(tmp_path / "out" if name == "full" else located("miniature"))
        model = base if name == "full" else PeftModel.from_pretrained(base, str(tmp_path / "out"))
    with torch.no_grad():
        assert torch.allclose(model.eval()(input_ids=ids).logits, wanted, atol=2e-5)
    assert same_bits(bits(miniature.model), before)


def test_an_adapter_on_its_dense_line_becomes_a_full_model(
    miniature: Base, adapters: dict[str, Path], tmp_path: Path
) -> None:
    path = path_of(adapters["oft"], miniature.model, "dense")
    assert write_point(path, 0.5, tmp_path / "out", miniature) <= 1e-5
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "llama"
    assert (
        load_file(tmp_path / "out" / "model.safetensors").keys()
        == load_file(Path(located("miniature")) / "model.safetensors").keys()
    )


def test_what_reads_back_differently_is_removed_and_told(
    miniature: Base, adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = default_path(adapters["lora"], miniature.model)
    written = rewound._write

    def damaged(path: object, t: float, folder: Path, base: Base) -> None:
        written(path, t, folder, base)  # type: ignore[arg-type]
        file = folder / "adapter_model.safetensors"
        save_file({name: 1.01 * tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})

    monkeypatch.setattr(rewound, "_write", damaged)
    with pytest.raises(DamagedCheckpoint, match=r"does not answer as the point at 0.5 of the path 'additive' does"):
        write_point(path, 0.5, tmp_path / "out", miniature)
    assert not (tmp_path / "out").exists()


def test_a_full_model_needs_the_files_of_its_base(miniature: Base, adapters: dict[str, Path], tmp_path: Path) -> None:
    nameless = Base("somebody/model", miniature.model, miniature.tokenizer, miniature.identity)
    path = path_of(adapters["oft"], miniature.model, "dense")
    with pytest.raises(ModelNotFound, match="'somebody/model' is no folder: download it"):
        write_point(path, 0.5, tmp_path / "out", nameless)


def test_a_saved_checkpoint_is_not_written_again(miniature: Base, adapters: dict[str, Path], tmp_path: Path) -> None:
    path = CheckpointPath({10: adapters["lora"]}, miniature.model)
    with pytest.raises(NotMeasurable, match="on disk already: copy its folder"):
        write_point(path, 1.0, tmp_path / "out", miniature)


def test_half_precision_is_allowed_its_own_rounding(adapters: dict[str, Path], tmp_path: Path) -> None:
    half = open_base("miniature", dtype="bfloat16")
    for name in ("lora", "full"):
        path = default_path(adapters[name], half.model)
        assert write_point(path, 0.5, tmp_path / name, half) <= 8 * torch.finfo(torch.bfloat16).eps
