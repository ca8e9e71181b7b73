"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "own_trainer.py"


def blocks(kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [content for name, content in found if name == kind]


def numbers(text: str) -> list[list[float]]:
    return [[float(word) for word in line.split() if word[0].isdigit()] for line in text.strip().splitlines()]


def test_the_readme_shows_the_example_as_it_is() -> None:
    _, body = EXAMPLE.read_text(encoding="utf-8").split('"""\n\n', 1)
    assert blocks("python") == [body]


def test_the_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = "\n".join(line for line in done.stdout.splitlines() if "diagnosis" in line)
    (shown,) = blocks("")
    assert re.sub(r"\d\.\d\d", "", printed) == re.sub(r"\d\.\d\d", "", shown.rstrip())
    found, told = numbers(printed), numbers(shown)
    for row, wanted in zip(found, told, strict=True):
        # Rounding differs from one build of torch to another, and training carries it on.
        assert row == pytest.approx(wanted, abs=0.3)
    part_way, end = found[-2], found[-1]
    assert part_way[1] > end[1] - 0.15, "three quarters of the way, the skill is there"
    assert sum(part_way[2:]) > sum(end[2:]), "and more is kept than at the end"


def test_the_example_of_a_loop_holds_what_it_says(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, str(ROOT / "examples" / "isolated_loop.py")]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    held, eligible = map(int, re.match(r"(\d+) of (\d+) scalars held", done.stdout).groups())
    assert held == eligible // 100


@pytest.mark.slow
def test_the_example_of_a_stage_trains_what_it_says(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, str(ROOT / "examples" / "trace_stage.py")]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 of 28 eligible tensors" in done.stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_file_that_the_readme_points_to_exists() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_every_method_is_named_in_the_readme() -> None:
    from holdfast.core import registry

    for name in registry.names("methods"):
        assert f"`{name}" in README or name == "shift", name


def test_the_example_recipe_takes_a_model_and_texts(tmp_path: Path) -> None:
    for name in ("new", "old"):
        text = "\n\n".join(f"The {name} text, part {part}, goes on like this." * 12 for part in range(60))
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    given = ["--model_name_or_path", "miniature", "--target", "new.txt", "--retention", "old.txt"]
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", "validate", str(ROOT / "examples" / "own_model.yaml"), *given],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
