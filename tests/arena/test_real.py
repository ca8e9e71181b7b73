"""The arena on a real pretrained model and real text: new words learned, old stories kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    command = [sys.executable, "-m", "holdfast.cli.main", "arena", str(ROOT / "examples" / "own_model.yaml")]
    options = {
        "model_name_or_path": real / "models/stories3M",
        "target": real / "data/tinyshakespeare/input.txt",
        "retention": real / "data/tinystories/tinystories_sample_2MiB.txt",
        "methods": "lora",
        "seeds": 1,
        "max_steps": 12,
        "learning_rate_tries": 1,
        "learning_rate_extra_tries": 0,
        "validation_items": 10,
        "test_items": 40,
        "output_dir": folder,
    }
    given = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    subprocess.run([*command, *given], check=True, stdout=subprocess.DEVNULL)
    return folder


def test_a_real_model_learns_new_text_and_forgets_old_text(folder: Path) -> None:
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    base, lora = comparison["points"]
    assert base["name"] == "base" and base["gain"] == base["forgetting"] == 0
    assert lora["gain_interval"][0] > 0.1
    assert lora["forgetting_interval"][0] > 0.0
    assert lora["trainable_params"] == 162_816
    assert lora["tasks"][1]["kl_interval"][0] > 0


def test_the_page_of_a_real_model_is_written(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "nats per token" in page
    assert "stories3M" in page
