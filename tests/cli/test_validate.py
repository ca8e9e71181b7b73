"""``holdfast validate``: recipes of comparisons and of sequences, told apart by what they name."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import holdfast

from holdfast.cli.validate import is_of_sequences
from holdfast.core.errors import EXIT_DONE, EXIT_USAGE

SEQUENCE = "tasks: [cant, query, diagnosis]\nmethods: [full, lora]\nalone: [lora]\nretention: [recall]\norders: 2\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(SEQUENCE)
    return file


def test_a_recipe_of_sequences_is_known_by_its_tasks(recipe: Path, tmp_path: Path) -> None:
    assert is_of_sequences([str(recipe)])
    assert is_of_sequences(["--methods", "lora", "--tasks", "cant", "query"])
    assert is_of_sequences(["--tasks=cant"])
    other = tmp_path / "other.yaml"
    other.write_text("target: cant\n")
    broken = tmp_path / "broken.yaml"
    broken.write_text("tasks: [")
    for words in ([], ["--target", "cant"], [str(other)], [str(broken)], [str(tmp_path / "nosuch.yaml")]):
        assert not is_of_sequences(words)


def test_what_sequences_would_train_is_told(recipe: Path) -> None:
    done = holdfast("validate", str(recipe), "--seeds", "1", "2")
    assert done.returncode == EXIT_DONE
    said = " ".join(done.stdout.split())
    assert "learn cant: " in said and "keep recall: " in said
    assert "order 1: cant, query, diagnosis order 2: " in said
    assert "full: 623,744 parameters" in said and "lora alone: 59,392 parameters" in said
    # Two methods in two orders of three tasks, and one method on three tasks by themselves, with two seeds.
    assert f"{2 * 2 * 2 + 3 * 2} sequences of together {2 * 2 * 2 * 3 + 3 * 2} stages" in said
    assert "is valid; its key is" in said


def test_faults_of_sequences_are_told_with_their_exit_code(recipe: Path) -> None:
    done = holdfast("validate", str(recipe), "--methods", "lorra", "--retention", "recal")
    assert done.returncode == EXIT_USAGE
    said = " ".join(done.stderr.split())
    assert "did you mean 'lora'?" in said and "did you mean 'recall'?" in said
