"""An adapter that plain peft and TRL trained on a real model is rewound, and the result opens with peft alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.core.rewinding import CHOSEN, FINAL, Rewinding, read_rewinding
from holdfast.weights.quiet import quiet

pytestmark = [
    pytest.mark.real,
    # Plain TRL and peft still use a name that transformers has given up.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
]

PLAYS, STORIES = "data/tinyshakespeare/input.txt", "data/tinystories/tinystories_sample_2MiB.txt"


@pytest.fixture(scope="module")
def adapter(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty steps on the first half of the plays; what chooses and what tests lies in its last fifth."""
    folder, where = tmp_path_factory.mktemp("outside"), str(real / "models/stories3M")
    text = (real / PLAYS).read_text(encoding="utf-8")
    half = text[: len(text) // 2]
    rows = Dataset.from_list([{"text": half[at : at + 400]} for at in range(0, 128_000, 400)])
    args = SFTConfig(
        str(folder / "trainer"),
        max_steps=40,
        per_device_train_batch_size=8,
        learning_rate=8e-3,
        max_length=128,
        bf16=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
    )
    tokenizer = AutoTokenizer.from_pretrained(where)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    with quiet():
        trainer = SFTTrainer(
            AutoModelForCausalLM.from_pretrained(where),
            args,
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        trainer.train()
        trainer.model.save_pretrained(str(folder / "adapter"))
    return folder / "adapter"


@pytest.fixture(scope="module")
def rewound(adapter: Path, real: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rewinding]:
    out = tmp_path_factory.mktemp("rewound") / "out"
    words = [
        "rewind", real / "models/stories3M", adapter, "--learn", real / PLAYS, "--keep", real / STORIES,
        "--rule", "keep_gain(0.95)", "--limit", 24, "--budget", 9, "--test", "--output_dir", out,
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return out, read_rewinding(out / "rewinding" / "rewinding.json")


def value(found: Rewinding, subject: str, quantity: str) -> float:
    record = next(each for each in found.records if (each.subject, each.quantity) == (subject, quantity))
    assert record.value is not None, record.reason
    return record.value


def test_a_point_of_the_way_back_keeps_the_gain(rewound: tuple[Path, Rewinding]) -> None:
    _, found = rewound
    assert (found.form, found.walk.path) == ("lora adapter", "additive")
    assert value(found, FINAL, "gain") > 0.1
    assert 0 < found.t <= 1
    assert value(found, CHOSEN, "gain") >= 0.9 * value(found, FINAL, "gain")
    assert value(found, CHOSEN, "forgetting") <= value(found, FINAL, "forgetting")
    steps = [point.kl_nats for point in found.walk.points]
    assert steps[0] == pytest.approx(0, abs=1e-6) and steps[-1] is not None and steps[-1] > 0


def test_the_result_opens_with_peft_alone_and_is_the_point(
    rewound: tuple[Path, Rewinding], adapter: Path, real: Path
) -> None:
    out, found = rewound
    where = str(real / "models/stories3M")
    ids = torch.arange(5, 60)[None]
    with quiet(), torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(where)
        said = PeftModel.from_pretrained(base, str(out)).eval()(input_ids=ids).logits
        scaled = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(where), str(adapter)).eval()
        for name, tensor in scaled.named_parameters():
            if "lora_B" in name:
                tensor.mul_(found.t)
        assert torch.allclose(said, scaled(input_ids=ids).logits, atol=1e-4)


def test_test_items_are_told_apart(rewound: tuple[Path, Rewinding]) -> None:
    _, found = rewound
    chosen = {item for point in found.walk.points for task in point.scores.tasks for item in task.ids}
    asked = {item for scores in found.test.values() for task in scores.tasks for item in task.ids}
    assert asked and not asked & chosen
