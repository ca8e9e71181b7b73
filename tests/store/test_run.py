"""The folder of a run: what is there says how far it has come, and it belongs to one recipe and one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.core.errors import DamagedCheckpoint, HoldfastError
from holdfast.core.isolation import IsolationCourse
from holdfast.core.record import Record
from holdfast.core.scores import PointScores, TaskScores
from holdfast.store.run import RunFolder, locked, read_json, read_scores, write_scores

RECIPE = {"method": "lora", "seed": 1, "learning_rate": 1e-4}
SCORES = PointScores(
    split="test",
    tasks=(TaskScores(task="cant", ask="generate", unit="frac", ids=("a",), values=(1.0,), weights=(1.0,)),),
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.open(RECIPE)
    return folder


def test_a_run_goes_from_recipe_to_finished(run: RunFolder) -> None:
    assert run.recipe() == RECIPE
    assert not run.trained and not run.finished
    with run.new_checkpoint(20) as folder:
        (folder / "weights").write_text("x")
    fact = Record(subject="lora", quantity="time", value=1.0, unit="s")
    run.write_facts([fact])
    run.write_memory(2**30)
    run.mark_trained({"loss": 0.5})
    assert run.trained and not run.finished
    run.write_scores("step-000020", SCORES)
    run.mark_finished()
    again = RunFolder(run.path)
    again.open(RECIPE)
    assert again.trained and again.finished
    assert list(again.checkpoints()) == [20]
    assert again.facts() == [fact]
    assert again.memory() == 2**30
    assert again.training() == {"loss": 0.5}
    assert again.scores("step-000020", "test") == SCORES


def test_what_is_not_there_yet_is_nothing(run: RunFolder) -> None:
    assert run.checkpoints() == {}
    assert run.facts() == []
    assert run.memory() is None
    assert run.failure() is None
    assert run.scores("final", "test") is None
    assert run.isolation() is None


def test_the_course_of_an_isolation_is_read_as_it_was_written(run: RunFolder) -> None:
    course = IsolationCourse(
        method="epi",
        eligible=10,
        params=20,
        examined=10,
        refreshes=(),
        jaccard=(),
        chance_jaccard=None,
        ages_steps=(),
        shares=(),
        extra_bytes=5,
    )
    run.write_isolation(course)
    assert run.isolation() == course
    (run.path / "isolation.json").write_text("{}")
    with pytest.raises(DamagedCheckpoint, match="does not hold the course of an isolation"):
        run.isolation()


def test_scores_of_another_split_are_not_taken(run: RunFolder) -> None:
    run.write_scores("final", SCORES)
    assert run.scores("final", "validation") is None


def test_a_failure_is_remembered_with_its_reason(run: RunFolder) -> None:
    run.mark_failed("the loss became nan")
    assert RunFolder(run.path).failure() == "the loss became nan"
    assert not run.finished


def test_a_folder_of_another_recipe_is_refused(run: RunFolder) -> None:
    with pytest.raises(DamagedCheckpoint) as caught:
        RunFolder(run.path).open({**RECIPE, "seed": 2})
    assert str(caught.value) == f"{run.path} holds a run of another recipe; give another --output_dir"
    RunFolder(run.path).open(dict(reversed(RECIPE.items())))


def test_opening_sweeps_what_a_kill_left_half_written(run: RunFolder) -> None:
    for folder in (run.path, run.path / "checkpoints", run.path / "scores"):
        (folder / ".half.abc123").mkdir(parents=True)
        (folder / ".half.json.abc123").touch()
    run.resume.mkdir()
    RunFolder(run.path).open(RECIPE)
    left = sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*"))
    assert left == ["checkpoints", "recipe.json", "resume", "scores"]


def test_checkpoints_come_by_step_and_only_when_complete(run: RunFolder) -> None:
    for step in (1_000_000, 5, 999_999, 40):
        with run.new_checkpoint(step):
            assert step not in run.checkpoints()
    assert list(run.checkpoints()) == [5, 40, 999_999, 1_000_000]
    assert run.checkpoints()[40] == run.checkpoint(40) == run.path / "checkpoints" / "step-000040"


def test_a_checkpoint_that_fails_is_not_there(run: RunFolder) -> None:
    with pytest.raises(RuntimeError), run.new_checkpoint(5) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert run.checkpoints() == {}


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.json", SCORES)
    assert read_scores(tmp_path / "scores.json") == SCORES


@pytest.mark.parametrize("text", ["", "{}", '{"split": "test"}'])
def test_scores_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(DamagedCheckpoint, match=r"scores\.json does not hold scores; remove it and run again"):
        read_scores(tmp_path / "scores.json")


def test_json_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "trained.json"
    with pytest.raises(DamagedCheckpoint) as caught:
        read_json(file)
    assert str(caught.value) == f"{file} is missing: was the folder copied in part?"
    file.write_text('{"loss": ')
    with pytest.raises(DamagedCheckpoint, match=rf"{file} is not JSON: Expecting value"):
        read_json(file)


HOLDER = """
import sys, time
from pathlib import Path
from holdfast.store.run import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_that_another_process_writes_into_is_refused_until_that_process_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(HoldfastError) as caught, locked(tmp_path):
            pass
        assert str(caught.value) == (f"another process is writing into {tmp_path}; wait for it or stop it first")
    finally:
        holder.kill()
        holder.communicate()
    with locked(tmp_path):
        pass


def test_a_lock_is_let_go_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "new"):
        raise RuntimeError
    with locked(tmp_path / "new"), pytest.raises(HoldfastError), locked(tmp_path / "new"):
        pass
