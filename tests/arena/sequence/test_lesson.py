"""What a stage trains on, and what it may look back at."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.arena.sequence.lesson import Lesson
from holdfast.core.task import Ask, Example, Split


@dataclass(frozen=True)
class Told:
    """A task of numbered examples."""

    name: str
    count: int
    ask: Ask = "generate"
    chance_frac: float = 0.0
    max_new_tokens: int = 1

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Example]:
        return [Example(f"{self.name}{at}", f"{at}?", " yes") for at in range(self.count)][:limit]

    def grade(self, example: Example, response: str) -> float:
        return 0.0


TASKS = {name: Told(name, count) for name, count in {"a": 3, "b": 6, "c": 2, "k": 5}.items()}


def test_what_is_left_out_is_neither_taught_nor_looked_back_at() -> None:
    lesson = Lesson(
        tasks={"c": TASKS["c"]},
        past={"a": TASKS["a"], "b": TASKS["b"]},
        known={"k": TASKS["k"]},
        limit=4,
        source_limit=20,
        without=frozenset({"a1", "k0", "c0"}),
    )
    assert [example.id for example in lesson.taught()[0]] == ["c1"]
    # Of the past nothing that was not trained on: 'b4' lies beyond the limit.
    source = ["a0", "b0", "k1", "a2", "b1", "k2", "b2", "k3", "b3", "k4"]
    assert [example.id for example in lesson.source()] == source
    assert [example.id for example in replace(lesson, source_limit=5).source()] == source[:5]


def test_tasks_that_are_mixed_share_a_name_and_take_turns() -> None:
    lesson = Lesson(tasks={"a": TASKS["a"], "c": TASKS["c"]})
    assert lesson.name == "a+c"
    examples, tasks = lesson.taught()
    assert [example.id for example in examples] == ["a0", "c0", "a1", "c1", "a2", "c0"]
    assert tasks == ["a", "c"] * 3
    assert lesson.source() == []
