"""Rows of a public benchmark become questions with choices; what is left out is counted."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from holdfast.core.recipe import read_recipe
from holdfast.core.sequence_evidence import read_sequence_evidence
from holdfast.core.sequence_recipe import SequenceRecipe
from holdfast.tasks.files import FileTask

SCRIPT = Path(__file__).parents[1] / "scripts" / "real_sequence.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_sequence", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_become_questions_with_choices(script: ModuleType) -> None:
    rows = [
        {"sentence": "good film \n", "label": "Good"},
        {"sentence": "Bad film!", "label": "Bad"},
        {"sentence": "good film", "label": "Good"},
        {"sentence": "no label", "label": "-"},
        {"sentence": "x" * 90, "label": "Bad"},
    ]
    found, left_out = script.converted(rows, ["Good", "Bad"], lambda text: len(text) < 50)
    assert found == [
        {"question": "good film\nAnswer:", "choices": ["Good", "Bad"], "gold": 0},
        {"question": "Bad film!\nAnswer:", "choices": ["Good", "Bad"], "gold": 1},
    ]
    assert left_out == {"repeated": 1, "without a gold label": 1, "too long": 1}


def test_splits_hang_on_the_question_alone(script: ModuleType) -> None:
    rows = [{"question": f"question {number}", "gold": 0} for number in range(1000)]
    parts = script.parted(rows)
    assert 70 < len(parts["validation"]) < 130
    assert len(parts["train"]) + len(parts["validation"]) == 1000
    assert script.parted(rows[::-1])["validation"] == parts["validation"][::-1]
    again = [{"question": "Question 7.", "gold": 0}]
    assert script.without(rows, again) == [row for row in rows if row["question"] != "question 7"]


def test_the_commonest_label_is_that_of_training(script: ModuleType) -> None:
    train = [{"gold": gold} for gold in (0, 1, 1)]
    test = [{"gold": gold} for gold in (0, 0, 0, 1)]
    assert script.majority_frac(train, test) == 0.25


def test_the_last_story_is_in_no_split(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "STORIES", {"train": (0, 1), "validation": (1, 2), "test": (2, 4)})
    text = "one<|endoftext|>\ntwo\n<|endoftext|>three<|endoftext|>long long<|endoftext|>cut o"
    parts, long = script.stories_of(text, lambda story: len(story) < 6)
    assert parts == {"train": [{"text": "one"}], "validation": [{"text": "two"}], "test": [{"text": "three"}]}
    assert long == 1


@pytest.mark.real
def test_real_tasks_are_written_as_holdfast_reads_them(real: Path, tmp_path: Path) -> None:
    model = real / "models" / "stories3M"
    said = subprocess.run(
        [sys.executable, SCRIPT, real / "data", tmp_path, "--model_name_or_path", model],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    recipe = read_recipe(SequenceRecipe, tmp_path / "recipe.yaml", {})
    assert [Path(task).name for task in recipe.tasks] == ["agnews", "sst2", "rte", "boolq"]
    chances = {}
    for name in recipe.tasks:
        task = FileTask(name)
        task.check()
        assert task.ask == "choose"
        chances[Path(name).name] = task.chance_frac
    assert chances == {"agnews": 0.25, "sst2": 0.5, "rte": 0.5, "boolq": 0.5}
    stories = FileTask(recipe.retention[0])
    assert (stories.ask, len(stories.examples("test"))) == ("read", 613)
    lines = {line.split()[0]: line.split() for line in said.splitlines()}
    assert lines["sst2"][3:6] == ["872", "0.500", "0.509"]
    questions = [json.loads(line) for line in (tmp_path / "rte" / "test.jsonl").read_text().splitlines()]
    assert questions[0]["question"].startswith("sentence 1: On Jan. 27, 1756")
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text())["model_name_or_path"] == str(model)


@pytest.mark.real
@pytest.mark.slow
def test_a_sequence_of_real_tasks_runs_from_end_to_end(real: Path, tmp_path: Path) -> None:
    model = real / "models" / "stories3M"
    subprocess.run([sys.executable, SCRIPT, real / "data", tmp_path, "--model_name_or_path", model], check=True)
    options = {"methods": "full", "max_steps": 2, "per_device_train_batch_size": 4, "learning_rate_tries": 1}
    few = {"test_items": 8, "validation_items": 4, "resamples": 200}
    words = [word for name, value in {**options, **few}.items() for word in (f"--{name}", str(value))]
    out = tmp_path / "run"
    words = [str(tmp_path / "recipe.yaml"), "--output_dir", str(out), *words]
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", "sequence", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (evidence,) = (read_sequence_evidence(file) for file in out.glob("*.json") if file.stem in {"evidence", "sequence"})
    (run,) = evidence.entrants[0].runs
    assert run.failure is None
    assert [Path(stage.task).name for stage in run.stages] == ["agnews", "sst2", "rte", "boolq"]
    for scores in (evidence.base_test, *(stage.test for stage in run.stages)):
        assert [len(task.ids) for task in scores.tasks] == [8] * 5
        assert [task.unit for task in scores.tasks] == ["frac"] * 4 + ["nats/token"]
    assert (out / "report.html").is_file()
