"""Names in recipes become tasks and methods, and everything that is wrong with them is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from contests import SMALL

from holdfast.cli.resolve import contest_of, learned_tasks, lesson_of
from holdfast.core import registry
from holdfast.core.errors import RecipeError
from holdfast.core.recipe import ArenaRecipe, TrainRecipe
from holdfast.core.task import Suite
from holdfast.methods.ewc import Ewc
from holdfast.tasks.cant import Cant
from holdfast.tasks.query import Query
from holdfast.tasks.recall import Recall

PAIR = Suite("pair", learn=(Cant(), Query()), keep=(Recall(),))


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite with two tasks to be learned and one to be kept."""
    names, lookup = registry.names, registry.lookup
    monkeypatch.setattr(registry, "names", lambda kind: (*names(kind), "pair") if kind == "suites" else names(kind))
    monkeypatch.setattr(
        registry, "lookup", lambda kind, name: PAIR if (kind, name) == ("suites", "pair") else lookup(kind, name)
    )


def faults_of(**options: Any) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        contest_of(ArenaRecipe(**{**SMALL, **options}))
    return caught.value.faults


def test_several_tasks_may_be_learned_at_once() -> None:
    assert list(learned_tasks("cant")) == ["cant"]
    assert list(learned_tasks("query+cant")) == ["query", "cant"]


@pytest.mark.usefixtures("pair")
def test_of_a_suite_what_it_says_is_to_be_learned_is_learned() -> None:
    assert list(learned_tasks("pair")) == ["cant", "query"]
    assert list(learned_tasks("pair+working")) == ["cant", "query", "working"]


def test_a_file_may_have_a_plus_in_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a+b.jsonl"
    file.write_text('{"prompt": "?", "completion": "!"}\n')
    assert list(learned_tasks(str(file))) == [str(file)]
    assert list(learned_tasks(f"{file}#generate")) == [f"{file}#generate"]


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("cant+cant", "target: 'cant' is named twice"),
        ("general", "target: suite 'general' holds nothing to be learned; name one or more tasks, as a+b"),
        ("cant+recal", "unknown task, suite or file 'recal': did you mean 'recall'?"),
        (
            "cant+chronicle",
            "target: 'chronicle' is scored in nats and 'cant' by its share of right answers; their gains have no mean, "
            "so they cannot be learned together",
        ),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(target: str, fault: str) -> None:
    assert faults_of(target=target, retention=("recall",)) == (fault,)


def test_fewer_examples_than_tasks_cannot_be_shared() -> None:
    found = faults_of(target="cant+query", train_items=1)
    assert found == ("train_items: 1 cannot be shared by 2 tasks; give 2 or more",)


SOURCELESS = (
    "source: {} draws on examples of what the model already knows; name tasks, suites or files that hold some, such as "
    "source: [general]"
)


def test_every_method_that_needs_a_source_is_told_where_there_is_none() -> None:
    methods = ("lora", "ewc", "kl(on_target=True)", "l2_sp(on='replay(share=0.2)')")
    wanted = ("ewc", "l2_sp(on='replay(share=0.2)')")
    assert faults_of(methods=methods) == tuple(SOURCELESS.format(spec) for spec in wanted)
    assert list(contest_of(ArenaRecipe(**{**SMALL, "methods": methods, "source": ("logic",)})).source) == ["logic"]


def test_a_source_without_training_examples_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recall, "examples", lambda task, split, limit=None, seed=0: [])
    assert "source: 'recall' gives no training example" in faults_of(source=("recall",))


def test_all_faults_of_a_target_and_a_source_are_told_at_once() -> None:
    found = faults_of(methods=("ewc(on='lorra')",), target="cant+nosuch.jsonl", source=("recal",))
    assert found == (
        "ewc: on: unknown method 'lorra': did you mean 'lora'?",
        "there is no file 'nosuch.jsonl'",
        "unknown task, suite or file 'recal': did you mean 'recall'?",
    )


def test_one_run_has_its_method_and_its_items() -> None:
    recipe = TrainRecipe(method="ewc", target="cant+query", source=("general",), source_items=12, max_steps=2)
    method, items = lesson_of(recipe)
    assert method == Ewc()
    examples, tasks = items.taught()
    assert len(examples) == 32 and set(tasks) == {"cant", "query"}
    assert len(items.source()) == 12
    assert {example.id.partition("/")[0] for example in items.source()} >= {"recall", "logic", "arithmetic"}


def test_faults_of_one_run_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        lesson_of(TrainRecipe(method="ewc", target="nosuch"))
    assert len(caught.value.faults) == 2
    assert caught.value.faults[1] == SOURCELESS.format("ewc")


def test_one_run_needs_nothing_but_training_items(tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    file.write_text("\n".join(f'{{"prompt": "{i}?", "completion": "{i}!"}}' for i in range(3)))
    _, items = lesson_of(TrainRecipe(target=str(file)))
    assert items.taught()[0]
