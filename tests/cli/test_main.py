"""The command line says what it does, quickly, and ends with the right code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import holdfast
from contests import SMALL

from holdfast.core.recipe import ArenaRecipe
from holdfast.testing.laws import LAWS


def in_its_own_process(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "holdfast.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"}, check=False)


@pytest.mark.parametrize("words", [("--help",), ("ls",), ("ls", "methods", "--json"), ("arena", "--help")])
def test_help_and_listings_load_no_torch(words: tuple[str, ...]) -> None:
    script = (
        "import sys; from holdfast.cli.main import app\n"
        f"try: app({list(words)!r}, standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'peft', 'trl', 'datasets', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_is_there_in_half_a_second_of_work() -> None:
    """Processor time, the best of three: what it takes when nothing else is in the way."""
    spent = []
    for _ in range(3):
        before = os.times()
        assert in_its_own_process("--help").returncode == 0
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(spent) < 0.5


def test_everything_installed_is_listed_with_a_summary() -> None:
    listed = json.loads(holdfast("ls", "--json").stdout)
    assert {"full", "lora", "oft", "peft", "shift"} <= {item["name"] for item in listed["methods"]}
    assert {"recall", "diagnosis"} <= {item["name"] for item in listed["tasks"]}
    assert all(item["summary"].endswith(".") for items in listed.values() for item in items)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nosuch",), 3, "No such command 'nosuch'"),
        (("arena", "--nosuch", "1"), 3, "unknown option 'nosuch'"),
        (("arena", "--max_step", "1"), 3, "did you mean 'max_steps'?"),
        (("arena", "stray", "words"), 3, "'words' belongs to no option"),
        (("arena", "nosuch.yaml"), 3, "there is no file nosuch.yaml"),
        (("arena", "--max_steps", "0"), 3, "max_steps: input should be greater than or equal to 1"),
        (("train", "--methods", "lora"), 3, "did you mean 'method'?"),
        (("report", "nosuch"), 1, "nosuch/evidence.json is missing"),
        (("evaluate", "nosuch/model"), 3, "switched off by HF_HUB_OFFLINE"),
        (("ls", "method"), 3, "did you mean 'methods'?"),
        (("check", "lorra"), 3, "did you mean 'lora'?"),
        (("check", "oft(blok_size=3)"), 3, "did you mean 'block_size'?"),
    ],
)
def test_faults_are_told_and_have_their_exit_code(words: tuple[str, ...], code: int, said: str) -> None:
    done = holdfast(*words, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "code"), [(("ls", "--json"), 0), (("nosuch",), 3), (("report", "nosuch"), 1)])
def test_a_process_of_its_own_says_and_ends_with_the_same(words: tuple[str, ...], code: int) -> None:
    here, there = holdfast(*words), in_its_own_process(*words)
    assert (there.returncode, there.stdout, there.stderr) == (code, here.stdout, here.stderr)


def test_all_faults_of_a_recipe_are_told_at_once(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("methods: [lorra, oft(size=3), 'hra(r=3)']\ntarget: nosuch.jsonl\nretention: [recal]\n")
    done = holdfast("validate", str(recipe))
    said = " ".join(done.stderr.split())
    assert done.returncode == 3
    for fault in (
        "unknown method 'lorra': did you mean 'lora'?",
        "oft: unknown option 'size'",
        "hra: r=3 is odd",
        "there is no file 'nosuch.jsonl'",
        "unknown task, suite or file 'recal': did you mean 'recall'?",
        "5 faults",
    ):
        assert fault in said


def test_validate_says_what_a_recipe_would_do(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("methods: [lora, ia3]\ntarget: cant\nretention: [recall]\n")
    done = holdfast("validate", str(recipe))
    assert done.returncode == 0, done.stderr
    assert "lora: 59,392 parameters (+0.0%, exact)" in done.stdout
    assert "ia3: 3,840 parameters (-93.5%, capped)" in done.stdout
    assert "asked by 'generate'" in done.stdout


def test_a_damaged_model_folder_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    done = holdfast("evaluate", str(tmp_path))
    assert done.returncode == 1
    assert "has no tokenizer" in " ".join(done.stderr.split())


def test_all_options_of_recipes_are_listed_with_their_meaning() -> None:
    said = holdfast("arena", "--options").stdout
    for name in ArenaRecipe.model_fields:
        assert f"--{name} " in said.replace("\n", " ")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("arena")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}))
    return folder / "out", holdfast("arena", str(recipe), "--output_dir", str(folder / "out"), "--json")


def test_arena_prints_the_comparison_for_scripts(arena: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = arena
    assert done.returncode == 0, done.stderr
    points = {point["name"]: point for point in json.loads(done.stdout)["points"]}
    assert set(points) == {"base", "lora", "ia3"}
    for name in (
        "trainable_params", "budget_gap_frac", "gain", "gain_interval", "forgetting", "forgetting_interval",
        "on_frontier", "trainable_bytes", "stored_bytes", "step_time_rel_lora", "peak_memory_bytes", "mergeable",
        "served_as",
    ):  # fmt: skip
        assert points["lora"][name] is not None, name


def test_report_rebuilds_the_same_without_any_model(arena: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = arena
    again = holdfast("report", str(folder), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == json.loads(done.stdout)
    for file in ("report.html", "summary.md", "records.jsonl", "comparison.json"):
        assert (folder / file).stat().st_size > 0
    assert {file.suffix for file in (folder / "figures").iterdir()} == {".png", ".pdf"}


def test_train_and_evaluate_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = "--method lora(r=2) --target cant --max_steps 4 --per_device_train_batch_size 4 --learning_rate 1e-3"
    done = holdfast("train", *options.split(), "--output_dir", str(out))
    assert done.returncode == 0, done.stderr
    assert "reload_difference" in done.stdout
    checkpoint = out / "checkpoints" / "step-000004"
    tasks = ["--suite", "cant", "--suite", "chronicle", "--limit", "4", "--json"]
    done = holdfast("evaluate", "miniature", str(checkpoint), *tasks)
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert set(scores) == {"base", str(checkpoint)}
    assert scores[str(checkpoint)]["tasks"][1]["kl_nats"]
    assert holdfast("train", *options.split(), "--output_dir", str(out)).returncode == 0
    other = holdfast("train", *options.replace("4 --l", "8 --l").split(), "--output_dir", str(out))
    assert other.returncode == 1
    assert "a run of another recipe" in other.stderr


def test_check_says_which_laws_a_method_keeps_and_ends_with_2_for_one_that_breaks_them() -> None:
    kept = holdfast("check", "shift")
    assert kept.returncode == 0
    assert kept.stdout.count("kept") == len(LAWS)
    broken = holdfast("check", "peft:fourierft", "--json")
    assert broken.returncode == 2
    assert "a fresh attachment changes nothing" in {law["law"] for law in json.loads(broken.stdout)}
