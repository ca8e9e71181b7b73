"""A comparison does what its recipe says, once, and tells what failed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from contests import HereAndNow, NoClock, small_contest

from holdfast.arena.engine import compare
from holdfast.arena.executor import Outcome, Unwatched
from holdfast.arena.jobs import Job
from holdfast.arena.plan import Contest
from holdfast.core.errors import HoldfastError
from holdfast.core.evidence import Evidence, read_evidence
from holdfast.store.run import locked


def compared(contest: Contest, folder: Path, executor: HereAndNow | None = None) -> Evidence:
    return compare(contest, folder, executor or HereAndNow(), Unwatched())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evidence]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, compared(small_contest(), folder)


def test_the_evidence_is_also_on_disk(finished: tuple[Path, Evidence]) -> None:
    folder, evidence = finished
    assert read_evidence(folder / "evidence.json") == evidence


def test_every_entrant_has_a_run_a_seed_with_a_curve_and_a_test(finished: tuple[Path, Evidence]) -> None:
    _, evidence = finished
    assert [entrant.label for entrant in evidence.entrants] == ["lora", "ia3"]
    for entrant in evidence.entrants:
        (run,) = entrant.runs
        assert [point.step for point in run.curve] == [3, 6]
        assert run.test is not None
        assert [scores.task for scores in run.test.tasks] == ["cant", "recall", "chronicle"]
        assert {fact.quantity for fact in run.facts} >= {"trainable_params", "start_distance", "reload_difference"}


def test_base_and_entrants_answer_the_same_items(finished: tuple[Path, Evidence]) -> None:
    _, evidence = finished
    for entrant in evidence.entrants:
        test = entrant.runs[0].test
        assert test is not None
        for base, tuned in zip(evidence.base_test.tasks, test.tasks, strict=True):
            assert base.ids == tuned.ids
            assert base.weights == tuned.weights


def test_divergence_from_the_base_is_zero_for_the_base_and_above_for_others(finished: tuple[Path, Evidence]) -> None:
    _, evidence = finished
    base = evidence.base_test.of("chronicle")
    tuned = evidence.entrants[0].runs[0].test.of("chronicle")  # type: ignore[union-attr]
    assert base is not None
    assert tuned is not None
    assert base.mean_kl_nats_per_token == pytest.approx(0.0, abs=1e-9)
    assert tuned.mean_kl_nats_per_token is not None
    assert tuned.mean_kl_nats_per_token > 0


def test_a_second_call_runs_nothing_and_says_the_same(finished: tuple[Path, Evidence]) -> None:
    folder, evidence = finished
    executor = HereAndNow()
    assert compared(small_contest(), folder, executor) == evidence
    assert executor.ran == []


def test_what_is_missing_is_done_again_with_the_same_result(finished: tuple[Path, Evidence], tmp_path: Path) -> None:
    folder, evidence = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for run in (copy / "runs").glob("ia3-seed-1-*"):
        shutil.rmtree(run)
    executor = HereAndNow()
    again = compared(small_contest(), copy, executor)
    assert executor.ran == ["ia3 seed 1"]
    assert [entrant.runs[0].test for entrant in again.entrants] == [e.runs[0].test for e in evidence.entrants]


def test_another_seed_is_another_run_and_the_search_is_kept(finished: tuple[Path, Evidence], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    executor = HereAndNow()
    evidence = compared(small_contest(seeds=(1, 2)), copy, executor)
    assert executor.ran == ["lora seed 2", "ia3 seed 2"]
    assert [run.seed for run in evidence.entrants[0].runs] == [1, 2]
    assert evidence.entrants[0].runs[0].test != evidence.entrants[0].runs[1].test


def test_the_search_seed_and_test_items_have_no_part_in_the_choice_of_rates(
    tmp_path: Path, finished: tuple[Path, Evidence]
) -> None:
    """The chosen rate is a function of validation files alone: other test items, same choice."""
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    for file in copy.rglob("*.test.json"):
        file.unlink()
    again = compared(small_contest(), copy)
    assert [e.learning_rate for e in again.entrants] == [e.learning_rate for e in finished[1].entrants]


@pytest.mark.slow
def test_tries_are_equal_and_unspent_ones_are_told(tmp_path: Path) -> None:
    evidence = compared(small_contest(methods=("lora", "full"), learning_rate_tries=2), tmp_path)
    for entrant in evidence.entrants:
        assert len(entrant.tries) + entrant.unspent_tries == 2 + 2


def test_a_rate_that_diverges_is_a_try_and_not_the_end(tmp_path: Path) -> None:
    options: dict[str, Any] = {"learning_rate_scale": 1e22, "learning_rate_tries": 1, "methods": ("full",)}
    evidence = compared(small_contest(**options), tmp_path, NoClock())
    (entrant,) = evidence.entrants
    assert entrant.learning_rate is None
    assert entrant.runs == ()
    assert "the loss became" in (entrant.tries[0].failure or "")
    again = NoClock()
    compared(small_contest(**options), tmp_path, again)
    assert "full rate" not in " ".join(again.ran)


class Unlucky(HereAndNow):
    """Some jobs break, as often as they are told to, and leave nothing behind."""

    def __init__(self, breaks: dict[str, int]) -> None:
        super().__init__()
        self._breaks = breaks

    def _one(self, job: Job) -> Outcome:
        if self._breaks.get(job.name, 0):
            self._breaks[job.name] -= 1
            return Outcome(job.name, "the lights went out")
        return super()._one(job)


def test_what_breaks_by_accident_is_done_once_more(finished: tuple[Path, Evidence], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    for run in copy.glob("runs/ia3-*"):
        shutil.rmtree(run)
    _, spared = finished[1].entrants
    (rate,) = spared.tries
    unlucky = Unlucky({f"ia3 rate {rate.learning_rate:g}": 1, "ia3 seed 1": 1})
    _, struck = compared(small_contest(), copy, unlucky).entrants
    assert unlucky.ran == [f"ia3 rate {rate.learning_rate:g}", "ia3 seed 1"]
    assert struck.tries == spared.tries
    assert struck.runs[0].test == spared.runs[0].test


def test_what_breaks_twice_is_told_with_its_reason(finished: tuple[Path, Evidence], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    for run in [*copy.glob("runs/ia3-*"), *copy.glob("runs/lora-seed-1-*")]:
        shutil.rmtree(run)
    (rate,) = finished[1].entrants[1].tries
    unlucky = Unlucky({f"ia3 rate {rate.learning_rate:g}": 2, "lora seed 1": 2})
    lora, ia3 = compared(small_contest(), copy, unlucky).entrants
    assert ia3.tries[0].failure == lora.runs[0].failure == "the lights went out"
    assert ia3.learning_rate is None
    assert lora.learning_rate is not None


def test_steps_that_could_not_be_timed_lose_nothing_else(finished: tuple[Path, Evidence], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    shutil.rmtree(copy / "costs")
    for entrant in compared(small_contest(), copy, Unlucky({"cost": 1})).entrants:
        assert entrant.runs[0].test is not None
        told = entrant.costs[0]
        assert told.value is None
        assert told.reason == "the time of a step could not be measured: the lights went out"


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(HoldfastError, match="another process is writing"):
        compared(small_contest(), tmp_path)


class BaseAlone(HereAndNow):
    """The base is scored; every other job breaks."""

    def _one(self, job: Job) -> Outcome:
        return super()._one(job) if job.name == "base" else Outcome(job.name, "not today")


def test_a_base_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    from holdfast.models.base import located

    model = tmp_path / "model"
    shutil.copytree(located("miniature"), model)
    options = {"model_name_or_path": str(model), "methods": ("ia3",)}
    compared(small_contest(**options), tmp_path / "out", BaseAlone())
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"] += 0.25
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(HoldfastError, match="its weights have changed since"):
        compared(small_contest(**options), tmp_path / "out")
