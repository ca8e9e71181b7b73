"""TRL's own example script, as it is installed, and two lines more: a real model trains one TRACE stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trl
from transformers import AutoModelForCausalLM

from holdfast.core.parameter_plan import read_plan

pytestmark = pytest.mark.real

SCRIPT = Path(trl.__file__).parent / "scripts" / "sft.py"
IMPORT = "from holdfast.train.planned import probing\n"
CALL = "    probing(trainer, ratio=0.1, probe_steps=10, probe_learning_rate=1e-3)\n"
STEPS = 20


def with_two_lines(script: str) -> str:
    """The script with an import before its first own function, and the probe before it trains."""
    start, train = "def main(", "    trainer.train("
    assert script.count(start) == 1 and script.count(train) == 1, "TRL's script has another shape than it had"
    return script.replace(start, IMPORT + start).replace(train, CALL + train)


def test_full_fine_tuning_becomes_one_trace_stage(real: Path, tmp_path: Path) -> None:
    data, model = tmp_path / "data", real / "models/stories3M"
    data.mkdir()
    text = (real / "data/tinyshakespeare/input.txt").read_text(encoding="utf-8")
    rows = [json.dumps({"text": text[at : at + 300]}) for at in range(0, 48_000, 300)]
    (data / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    original = SCRIPT.read_text(encoding="utf-8")
    changed = with_two_lines(original)
    assert len(changed.splitlines()) == len(original.splitlines()) + 2
    (tmp_path / "sft.py").write_text(changed, encoding="utf-8")
    words = [
        sys.executable, tmp_path / "sft.py", "--model_name_or_path", model, "--dataset_name", data,
        "--output_dir", tmp_path / "out", "--max_steps", STEPS, "--per_device_train_batch_size", 4, "--max_length", 96,
        "--learning_rate", 1e-3, "--use_cpu", True, "--bf16", False, "--report_to", "none", "--eos_token", "</s>",
        "--pad_token", "</s>", "--disable_tqdm", True,
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    plan = read_plan(tmp_path / "out" / "plan.json")
    assert len(plan.chosen) == len(plan.tensors) // 10 and plan.settings["probe_steps"] == 10
    before, after = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in (model, tmp_path / "out")
    )
    was = before.state_dict()
    moved = {name for name, tensor in after.named_parameters() if not torch.equal(tensor, was[name])}
    assert moved == {tensor.name for tensor in plan.chosen}
