"""``holdfast sequence``: names into sequences, all faults at once, and what is told in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from curricula import SHORT, small_curriculum

from holdfast.arena.sequence.plan import planned_sequence
from holdfast.cli.main import main
from holdfast.cli.resolve import curriculum_of
from holdfast.core import registry
from holdfast.core.errors import RecipeError
from holdfast.core.sequence_recipe import SequenceRecipe
from holdfast.core.task import Suite
from holdfast.tasks.cant import Cant
from holdfast.tasks.logic import Logic
from holdfast.tasks.query import Query
from holdfast.tasks.recall import Recall


def faults_of(**options: Any) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        planned_sequence(curriculum_of(SequenceRecipe(**{**SHORT, **options})), Path())
    return caught.value.faults


def rows(file: Path, pairs: list[tuple[str, str]]) -> str:
    file.write_text("".join(json.dumps({"prompt": prompt, "completion": answer}) + "\n" for prompt, answer in pairs))
    return str(file)


def test_tasks_are_learned_in_the_order_of_the_recipe() -> None:
    curriculum = small_curriculum(tasks=("query", "cant"), alone=("full",), jointly=("lora",))
    assert list(curriculum.tasks) == ["query", "cant"]
    assert list(curriculum.methods) == ["lora", "full"]
    assert curriculum.orders == (("query", "cant"),)


def test_of_a_suite_what_it_says_is_to_be_learned_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Suite("pair", learn=(Cant(), Query()), keep=(Recall(),))
    names, lookup = registry.names, registry.lookup
    monkeypatch.setattr(registry, "names", lambda kind: (*names(kind), "pair") if kind == "suites" else names(kind))
    monkeypatch.setattr(
        registry, "lookup", lambda kind, name: pair if (kind, name) == ("suites", "pair") else lookup(kind, name)
    )
    assert list(small_curriculum(tasks=("working", "pair")).tasks) == ["working", "cant", "query"]
    with pytest.raises(RecipeError, match="tasks: 'cant' is listed twice, the second time by 'pair'"):
        small_curriculum(tasks=("cant", "pair"))


def test_all_faults_are_told_at_once() -> None:
    faults = faults_of(
        tasks=("cant", "diagnosys", "query+two_hop"),
        methods=("lorra",),
        retention=("recal",),
        rewind_rule="keep_gian(0.9)",
    )
    assert faults == (
        "unknown method 'lorra': did you mean 'lora'?",
        "unknown task, suite or file 'diagnosys': did you mean 'diagnosis'?",
        "tasks: 'query+two_hop' mixes tasks, and a sequence learns one after the other: list each by itself",
        "unknown task, suite or file 'recal': did you mean 'recall'?",
        "unknown rule of choice 'keep_gian': did you mean 'keep_gain'?",
    )


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"tasks": ("cant",)},
            "tasks: a sequence needs at least 2, found cant; holdfast train learns a single one",
        ),
        ({"tasks": ()}, "tasks: a sequence needs at least 2, found none; holdfast train learns a single one"),
        ({"retention": ("cant",)}, "retention: 'cant' is also among the tasks, so that stages train it"),
        ({"orders": (("cant",),)}, "orders: 'cant' lacks 'diagnosis'"),
        ({"orders": (("cant", "diagnosis", "cant"),)}, "orders: 'cant, diagnosis, cant' repeats 'cant'"),
        (
            {"tasks": ("cant", "chronicle")},
            "tasks: 'chronicle' is scored in nats and 'cant' by its share of right answers; their gains have no mean, "
            "so they cannot be learned together",
        ),
        (
            {"budget": "lora-x3"},
            "budget: 'lora-x3' is neither a number of parameters nor a method such as lora-r8 or full",
        ),
    ],
)
def test_what_cannot_be_a_sequence_is_refused(options: dict[str, Any], fault: str) -> None:
    assert fault in faults_of(**options)


def test_a_source_without_training_examples_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Logic, "examples", lambda task, split, limit=None, seed=0: [])
    assert faults_of(source=("logic",)) == ("source: 'logic' gives no training example",)


def test_orders_are_told_with_all_other_faults_once_their_tasks_are_known() -> None:
    assert faults_of(orders=(("cant",), ("cant", "query"))) == (
        "orders: 'cant' lacks 'diagnosis'",
        "orders: 'cant, query' lacks 'diagnosis'",
        "orders: 'cant, query' holds 'query', which is no task here",
    )
    (fault,) = faults_of(tasks=("cant", "diagnosys"), orders=(("cant", "diagnosis"),))
    assert fault == "unknown task, suite or file 'diagnosys': did you mean 'diagnosis'?"


def test_tasks_that_share_training_examples_are_refused(tmp_path: Path) -> None:
    own = [(f"Question {at}?", f" Answer {at}") for at in range(40)]
    one = rows(tmp_path / "one.jsonl", own)
    other = rows(tmp_path / "other.jsonl", [*[(f"What is {at}?", f" It is {at}") for at in range(40)], *own[:20]])
    (fault,) = faults_of(tasks=(one, other), max_steps=40)
    assert fault.startswith(f"tasks: '{one}' and '{other}' share ")
    assert "training examples, the first is 'Question" in fault
    assert fault.endswith("take them out of one, or what the later task learns is what the earlier taught")


def test_training_examples_that_are_also_evaluated_are_refused_or_left_out(tmp_path: Path) -> None:
    pairs = [(f"Question {at}?", f" Answer {at}") for at in range(40)]
    file = rows(tmp_path / "new.jsonl", pairs)
    # The same texts, parted elsewhere: equal prompts lie in the same split of every file.
    kept = rows(tmp_path / "kept.jsonl", [(f"Question {at}? Answer", f" {at}") for at in range(40)])
    options: dict[str, Any] = {"tasks": ("cant", file), "retention": (kept,), "max_steps": 40}
    (fault,) = faults_of(**options)
    assert fault.startswith(f"tasks: '{file}': ")
    assert "of its training examples are also evaluated" in fault and "pass --drop_overlap" in fault
    plan = planned_sequence(small_curriculum(**options, drop_overlap=True), Path())
    assert plan.without
    job = plan.chain_job(plan.rows["lora"], [("cant",), (file,)], 0.1, 1, "base", reported=True)
    for stage in job.stages:
        assert not plan.without & {example.id for example in (*stage.lesson.taught()[0], *stage.lesson.source())}


def test_a_budget_is_kept_by_every_row() -> None:
    plan = planned_sequence(small_curriculum(methods=("lora(r=2)", "hra"), alone=("full",), budget="lora-r4"), Path())
    params = {label: row.params for label, row in plan.rows.items()}
    assert params["lora(r=2)"] == plan.reference.params == 59_392 // 2
    assert params["hra"] == pytest.approx(params["lora(r=2)"], rel=0.1)
    assert params["full alone"] == 623_744


def test_the_command_says_what_is_wrong_and_lists_its_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def said(*words: str) -> tuple[int | str | None, str]:
        monkeypatch.setattr("sys.argv", ["holdfast", "sequence", *words, "--output_dir", str(tmp_path)])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return end.value.code, told.out + told.err

    code, text = said("--tasks", "cant", "cant")
    assert (code, "tasks: 'cant' is listed twice" in text) == (3, True)
    code, text = said("--target", "cant")
    assert code == 3 and "put 'cant' among them" in text
    code, text = said("--options")
    assert code == 0 and "--order_seed" in text and "Not for sequences" in text
