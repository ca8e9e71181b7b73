"""TRL's own example script, as it is installed, and three lines more: a real model trains with EPI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trl
from transformers import AutoModelForCausalLM

from holdfast.core.isolation import IsolationCourse

pytestmark = pytest.mark.real

SCRIPT = Path(trl.__file__).parent / "scripts" / "sft.py"
IMPORTS = "from holdfast.methods.epi import Epi\nfrom holdfast.train import isolating\n"
CALLBACK = "        callbacks=[isolating(Epi(ratio=0.01))],\n"
STEPS = 40


def with_three_lines(script: str) -> str:
    """The script with two imports before its first own function, and the callback among the trainer's arguments."""
    start, call = "def main(", "    trainer = SFTTrainer(\n"
    assert script.count(start) == 1 and script.count(call) == 1, "TRL's script has another shape than it had"
    return script.replace(start, IMPORTS + start).replace(call, call + CALLBACK)


def run(folder: Path, real: Path, *options: str) -> IsolationCourse:
    data = folder / "data"
    data.mkdir()
    text = (real / "data/tinyshakespeare/input.txt").read_text(encoding="utf-8")
    rows = [json.dumps({"text": text[at : at + 300]}) for at in range(0, 96_000, 300)]
    (data / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    original = SCRIPT.read_text(encoding="utf-8")
    changed = with_three_lines(original)
    assert len(changed.splitlines()) == len(original.splitlines()) + 3
    (folder / "sft.py").write_text(changed, encoding="utf-8")
    words = [
        sys.executable, folder / "sft.py", "--model_name_or_path", real / "models/stories3M", "--dataset_name", data,
        "--output_dir", folder / "out", "--max_steps", STEPS, "--per_device_train_batch_size", 4, "--max_length", 96,
        "--learning_rate", 1e-3, "--use_cpu", True, "--bf16", False, "--report_to", "none", "--eos_token", "</s>",
        "--pad_token", "</s>", "--disable_tqdm", True, *options,
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return IsolationCourse.model_validate_json((folder / "out" / "isolation.json").read_text(encoding="utf-8"))


def test_full_fine_tuning_with_epi(real: Path, tmp_path: Path) -> None:
    course = run(tmp_path, real)
    assert course.notes == ()
    assert [refresh.step for refresh in course.refreshes] == list(range(STEPS // 10, STEPS + 1, 10))
    assert {refresh.held for refresh in course.refreshes} == {course.eligible // 100}
    assert 0 < course.eligible < course.params
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")


def test_lora_with_epi_on_its_tensors(real: Path, tmp_path: Path) -> None:
    course = run(tmp_path, real, "--use_peft", "--lora_r", "8", "--lora_target_modules", "all-linear")
    assert "scalars of an adapter are held: not what the papers test" in course.notes
    assert {refresh.held for refresh in course.refreshes} == {course.eligible // 100}
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
