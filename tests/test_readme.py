"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import holdfast, printed

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


as_anywhere = pytest.mark.filterwarnings("default")
"""Warnings of other libraries are no faults of an example."""


@as_anywhere
def test_the_example_prints_what_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = "\n".join(line for line in printed(EXAMPLE).splitlines() if "diagnosis" in line)
    (shown,) = blocks("")
    assert re.sub(r"\d\.\d\d", "", said) == re.sub(r"\d\.\d\d", "", shown.rstrip())
    found, told = numbers(said), numbers(shown)
    for row, wanted in zip(found, told, strict=True):
        # Rounding differs from one build of torch to another, and training carries it on.
        assert row == pytest.approx(wanted, abs=0.3)
    part_way, end = found[-2], found[-1]
    assert part_way[1] > end[1] - 0.15, "three quarters of the way, the skill is there"
    assert sum(part_way[2:]) > sum(end[2:]), "and more is kept than at the end"


@as_anywhere
def test_the_example_of_a_loop_holds_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = printed(ROOT / "examples" / "isolated_loop.py")
    held, eligible = map(int, re.match(r"(\d+) of (\d+) scalars held", said).groups())
    assert held == eligible // 100


@pytest.mark.slow
@as_anywhere
def test_the_example_of_a_stage_trains_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "2 of 28 eligible tensors" in printed(ROOT / "examples" / "trace_stage.py")


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


def test_the_example_recipe_takes_a_model_and_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("new", "old"):
        text = "\n\n".join(f"The {name} text, part {part}, goes on like this." * 12 for part in range(60))
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    given = ["--model_name_or_path", "miniature", "--target", "new.txt", "--retention", "old.txt"]
    monkeypatch.chdir(tmp_path)
    done = holdfast("validate", str(ROOT / "examples" / "own_model.yaml"), *given)
    assert done.returncode == 0, done.stdout + done.stderr
