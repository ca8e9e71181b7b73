"""What runs of a comparison train on and may draw on: several tasks evenly, a source, and nothing that is evaluated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from contests import NoClock, small_contest

from holdfast.arena.engine import compare
from holdfast.arena.executor import Unwatched
from holdfast.arena.jobs import TrainingItems
from holdfast.arena.plan import planned
from holdfast.core.errors import RecipeError
from holdfast.core.task import Ask, Example, Split
from holdfast.report.analysis import analysed
from holdfast.store.run import RunFolder


@dataclass(frozen=True)
class Listed:
    """A task of a few examples."""

    name: str
    count: int
    ask: Ask = "generate"
    chance_frac: float = 0.0
    max_new_tokens: int = 4

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Example]:
        return [Example(f"{self.name}/{i}", f"{self.name} {i}?", f" {i}") for i in range(self.count)][:limit]

    def grade(self, example: Example, response: str) -> float:
        return float(response == example.answer)


def ids(examples: list[Example]) -> list[str]:
    return [example.id for example in examples]


def test_tasks_give_as_many_examples_each_also_when_some_are_left_out() -> None:
    items = TrainingItems({"a": Listed("a", 9), "b": Listed("b", 9)}, 4, frozenset({"a/1"}))
    examples, tasks = items.taught()
    assert ids(examples) == ["a/0", "b/0", "a/2", "b/1", "a/3", "b/2", "a/0", "b/3"]
    assert tasks == ["a", "b"] * 4


def test_the_source_takes_turns_and_a_short_task_leaves_its_share_to_the_others() -> None:
    known = {"a": Listed("a", 2), "b": Listed("b", 9)}
    items = TrainingItems({"c": Listed("c", 3)}, without=frozenset({"b/0"}), known=known, known_limit=6)
    assert ids(items.source()) == ["a/0", "b/1", "a/1", "b/2", "b/3", "b/4"]
    assert TrainingItems({"c": Listed("c", 3)}).source() == []


def test_several_tasks_and_a_source_are_planned() -> None:
    plan = planned(small_contest(target="cant+query", source=("recall", "logic"), source_items=10), Path())
    examples, tasks = plan.items.taught()
    assert Counter(tasks) == {"cant": 12, "query": 12}
    assert len(examples) == 6 * 4
    assert Counter(example.id.partition("/")[0] for example in plan.items.source()) == {"recall": 5, "logic": 5}
    assert set(plan.origin) == {"training", "exams", "source"}


def test_without_a_source_runs_depend_on_what_they_did_before() -> None:
    plain = planned(small_contest(), Path())
    assert set(plain.origin) == {"training", "exams"}
    assert "source" not in plain.run_job("lora", 1e-3, 1, "base", reported=True).recipe.model_dump(mode="json")


def test_another_source_is_another_run() -> None:
    one, same, other = (
        planned(small_contest(source=source), Path()).run_job("lora", 1e-3, 1, "base", reported=True).folder
        for source in (("logic",), ("logic",), ("arithmetic",))
    )
    assert one == same != other


@pytest.fixture
def leaking(tmp_path: Path) -> str:
    """A file whose training items are, in part, validation and test items of a task that is to be kept."""
    contest = small_contest()
    kept = [e for split in ("validation", "test") for e in contest.keep["recall"].examples(split, 2)]  # type: ignore[arg-type]
    own = [Example(f"{i}", f"What is number {i}?", f" {i}") for i in range(60)]
    folder = tmp_path / "source"
    folder.mkdir()
    rows = {"train": [*kept, *own], "validation": own[:1], "test": own[:1]}
    for split, examples in rows.items():
        lines = [f'{{"prompt": "{e.prompt}", "completion": "{e.answer}"}}' for e in examples]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    return str(folder)


def test_source_examples_that_are_also_evaluated_are_refused(leaking: str) -> None:
    with pytest.raises(RecipeError, match=r"source: 4 of its training examples are also evaluated \(4 in 'recall'\)"):
        planned(small_contest(source=(leaking,)), Path())


def test_or_left_out_where_that_is_asked_for(leaking: str) -> None:
    plan = planned(small_contest(source=(leaking,), drop_overlap=True), Path())
    assert len(plan.items.without) == 4
    assert len(plan.items.source()) == 60


def test_all_leaks_are_told_at_once(leaking: str) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(small_contest(target=leaking, source=(leaking,)), Path())
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["target", "source"]


def test_two_tasks_are_learned_scored_and_compared_with_methods_that_draw_on_a_source(tmp_path: Path) -> None:
    contest = small_contest(
        methods=("ewc(on='lora(r=8)', batches=1)", "replay(on='lora(r=8)')"), target="cant+query", source=("recall",)
    )
    evidence = compare(contest, tmp_path, NoClock(), Unwatched())
    assert evidence.learn == ("cant", "query")
    for entrant in evidence.entrants:
        (run,) = entrant.runs
        assert run.test is not None and run.failure is None
        assert [scores.task for scores in run.test.tasks] == ["cant", "query", "recall", "chronicle"]
        assert run.isolation is None
        assert "importance_mean" in {fact.quantity for fact in run.facts} or "replay" in entrant.label
        assert entrant.standing == "exact"
    (folder,) = (tmp_path / "runs").glob("ewc*-seed-1-*")
    assert RunFolder(folder).recipe()["source"] == ["recall"]
    comparison = analysed(evidence)
    assert comparison.learn == ("cant", "query")
    point = next(point for point in comparison.points if point.name.startswith("ewc"))
    gains = {change.task: change.change for change in point.tasks if change.role == "learn"}
    assert point.gain == pytest.approx(sum(gains.values()) / 2)
