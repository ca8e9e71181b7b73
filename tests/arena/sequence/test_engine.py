"""Sequences do what their recipe says, once, each stage on the weights that the one before it left."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from contests import HereAndNow, NoClock
from curricula import small_curriculum

from holdfast.arena.executor import Unwatched
from holdfast.arena.sequence.curriculum import Curriculum
from holdfast.arena.sequence.engine import run_sequences
from holdfast.core.errors import HoldfastError
from holdfast.core.sequence_evidence import SequenceEntrant, SequenceEvidence, read_sequence_evidence
from holdfast.measure.evaluate import evaluate
from holdfast.models.base import Base, located, open_base
from holdfast.store.run import RunFolder
from holdfast.weights.adapter import read_adapter
from holdfast.weights.checkpoint import read_full

TASKS = ("cant", "diagnosis")
ORDERS = (TASKS, ("diagnosis", "cant"))
OPTIONS: dict[str, Any] = {
    "tasks": TASKS,
    "orders": ORDERS,
    "methods": ("lora", "full"),
    "alone": ("lora",),
    "jointly": ("lora",),
    "retention": ("recall", "chronicle"),
}


def run(curriculum: Curriculum, folder: Path, executor: HereAndNow | None = None) -> SequenceEvidence:
    return run_sequences(curriculum, folder, executor or HereAndNow(), Unwatched())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SequenceEvidence]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(small_curriculum(**OPTIONS), folder)


def by_label(evidence: SequenceEvidence) -> dict[str, SequenceEntrant]:
    return {entrant.label: entrant for entrant in evidence.entrants}


def chain(folder: Path, name: str) -> tuple[list[Path], Path]:
    """The stages' folders of a chain and the model that it ends with, as its list says."""
    (own,) = (folder / "chains").glob(f"{name}-????????")
    listed = json.loads((own / "chain.json").read_text())
    return [folder / "stages" / stage["folder"] for stage in listed["stages"]], own / listed["model"]


def test_the_evidence_is_also_on_disk(finished: tuple[Path, SequenceEvidence]) -> None:
    folder, evidence = finished
    assert read_sequence_evidence(folder / "evidence.json") == evidence
    assert evidence.orders == ORDERS
    assert "target" not in evidence.recipe


def test_every_chain_has_its_stages_and_all_is_asked_after_each(finished: tuple[Path, SequenceEvidence]) -> None:
    rows = by_label(finished[1])
    assert [(row.label, row.regime) for row in rows.values()] == [
        ("lora", "sequence"),
        ("full", "sequence"),
        ("lora alone", "alone"),
        ("lora jointly", "jointly"),
    ]
    for label in ("lora", "full"):
        assert [run.order for run in rows[label].runs] == list(ORDERS)
        assert [tuple(stage.task for stage in run.stages) for run in rows[label].runs] == list(ORDERS)
    assert [run.order for run in rows["lora alone"].runs] == [("cant",), ("diagnosis",)]
    assert [[stage.task for stage in run.stages] for run in rows["lora jointly"].runs] == [["cant+diagnosis"]]
    base = finished[1].base_test
    for row in rows.values():
        for each in row.runs:
            assert each.failure is None
            for stage in each.stages:
                assert [scores.task for scores in stage.test.tasks] == [*TASKS, "recall", "chronicle"]
                assert [scores.ids for scores in stage.test.tasks] == [scores.ids for scores in base.tasks]
                assert {fact.quantity for fact in stage.facts} >= {"trainable_params", "update_norm", "tokens_seen"}


def test_tasks_learned_jointly_take_the_steps_of_all_of_them(finished: tuple[Path, SequenceEvidence]) -> None:
    (folder,) = (finished[0] / "stages").glob("lora-1-cant+diagnosis-seed-1-*")
    assert list(RunFolder(folder).checkpoints()) == [8]


def test_chains_that_begin_alike_share_their_first_stages(finished: tuple[Path, SequenceEvidence]) -> None:
    folder, evidence = finished
    in_turn, by_itself = by_label(evidence)["lora"].runs, by_label(evidence)["lora alone"].runs
    for number, task in enumerate(TASKS):
        first, second = chain(folder, f"lora-order-{number + 1}-seed-1")[0]
        assert chain(folder, f"lora-alone-{task}-seed-1")[0] == [first]
        assert in_turn[number].stages[0] == by_itself[number].stages[0]
        assert second.name.startswith(f"lora-2-{TASKS[1 - number]}-seed-1-")
    assert len(list((folder / "stages").glob("lora-*-seed-1-*"))) == 2 + 2 + 1


@pytest.mark.parametrize("label", ["lora", "full"])
def test_a_chain_ends_with_its_stages_on_the_base_one_after_the_other(
    finished: tuple[Path, SequenceEvidence], label: str
) -> None:
    """The slow twin: weights added up by hand, stage by stage."""
    folder, _ = finished
    stages, model = chain(folder, f"{label}-order-1-seed-1")
    by_hand = open_base("miniature").model
    for stage in stages:
        checkpoint = RunFolder(stage).checkpoint(4)
        if label == "lora":
            update = read_adapter(checkpoint, by_hand)
            with torch.no_grad():
                for name, weight in by_hand.named_parameters():
                    if name in update:
                        weight += update[name].dense()
        else:
            by_hand = open_base(str(checkpoint)).model
    ended = open_base(str(model)).model
    for (name, one), (_, other) in zip(by_hand.named_parameters(), ended.named_parameters(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("label", ["lora", "full"])
def test_the_scores_after_the_last_stage_are_those_of_the_model_that_is_kept(
    finished: tuple[Path, SequenceEvidence], label: str, miniature: Base
) -> None:
    folder, evidence = finished
    base = open_base(str(chain(folder, f"{label}-order-2-seed-1")[1]))
    curriculum = small_curriculum(**OPTIONS)
    asked = {**curriculum.tasks, **curriculum.keep}
    again = evaluate(base.model, base.tokenizer, asked, split="test", limit=4, base=miniature.model)
    assert by_label(evidence)[label].runs[1].stages[-1].test == again


def test_the_update_of_the_whole_and_of_each_stage_can_be_read(finished: tuple[Path, SequenceEvidence]) -> None:
    folder, _ = finished
    stages, model = chain(folder, "full-order-1-seed-1")
    whole = read_full(Path(located("miniature")), model)
    begins = [Path(located("miniature")), *(RunFolder(stage).checkpoint(4) for stage in stages)]
    parts = [read_full(one, other) for one, other in pairwise(begins)]
    for name, change in whole.items():
        assert torch.allclose(change.dense(), sum(part[name].dense() for part in parts), atol=1e-6)
    provenance = json.loads((begins[-1] / "holdfast.json").read_text())
    assert provenance["base_identity"] == open_base(str(begins[-2])).identity


def test_what_must_be_kept_to_serve_all_tasks_is_told(finished: tuple[Path, SequenceEvidence]) -> None:
    rows = by_label(finished[1])
    stored = {
        label: next(cost.value for cost in row.costs if cost.quantity == "stored_bytes") for label, row in rows.items()
    }
    base, adapter = 4 * finished[1].base_params, 4 * rows["lora"].trainable_params
    assert stored["full"] == pytest.approx(base, rel=0.01)
    assert stored["lora"] == stored["full"], "a sequence of adapters ends as one model"
    assert stored["lora alone"] == pytest.approx(base + 2 * adapter, rel=0.05)
    assert stored["lora jointly"] == pytest.approx(base + adapter, rel=0.05)


def test_a_second_call_runs_nothing_and_says_the_same(finished: tuple[Path, SequenceEvidence]) -> None:
    folder, evidence = finished
    executor = HereAndNow()
    assert run(small_curriculum(**OPTIONS), folder, executor) == evidence
    assert executor.ran == []


def test_another_seed_is_another_chain_and_the_search_is_kept(
    finished: tuple[Path, SequenceEvidence], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    executor = HereAndNow()
    options = {**OPTIONS, "methods": ("lora",), "alone": (), "jointly": (), "seeds": (1, 2), "orders": 1}
    evidence = run(small_curriculum(**options), copy, executor)
    assert executor.ran == ["lora order 1 seed 2", "cost"]
    assert [each.seed for each in evidence.entrants[0].runs] == [1, 2]
    assert evidence.entrants[0].runs[0] == by_label(finished[1])["lora"].runs[0]


def test_where_all_rates_fail_there_is_no_sequence_and_the_stage_is_told(tmp_path: Path) -> None:
    evidence = run(small_curriculum(methods=("full",), learning_rate_scale=1e22), tmp_path, NoClock())
    (entrant,) = evidence.entrants
    assert entrant.learning_rate is None and entrant.runs == ()
    assert (entrant.tries[0].failure or "").startswith("stage 1, 'cant': the loss became ")


def test_a_time_that_cannot_be_taken_costs_nothing_else(
    finished: tuple[Path, SequenceEvidence], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    shutil.rmtree(copy / "costs")
    evidence = run(small_curriculum(**OPTIONS), copy, NoClock())
    for entrant, before in zip(evidence.entrants, finished[1].entrants, strict=True):
        assert entrant.runs == before.runs
        (time,) = (cost for cost in entrant.costs if cost.quantity == "step_time_rel_lora")
        assert time.reason == "the time of a step could not be measured: there is no clock here"


def test_a_folder_of_a_comparison_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(HoldfastError, match="holds a comparison of methods; give another --output_dir for sequences"):
        run(small_curriculum(), tmp_path)
