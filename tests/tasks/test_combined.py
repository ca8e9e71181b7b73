"""What every installed task promises: stable items, disjoint splits, fair grades."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import registry
from holdfast.core.task import SPLITS, Example, Task
from holdfast.tasks.combined import digest

FIRST_IDS = {
    "arithmetic": "arithmetic/bc81a641eea6f2ff",
    "cant": "cant/096a51ad46740b8d",
    "chronicle": "chronicle/12a34eae5620817a",
    "diagnosis": "diagnosis/0902bb155b875fd9",
    "endings": "endings/02b01503d96f3dc1",
    "instructions": "instructions/0a2afc23b02fabbb",
    "logic": "logic/149476e7e49e1ab5",
    "query": "query/040e9bd3039d9b88",
    "recall": "recall/b4820df8738748db",
    "two_hop": "two_hop/14a16639d2b36f92",
    "working": "working/09698e734affbbc3",
}
"""The first test item of every task. A change here makes all published scores of the task incomparable."""


def everything(task: Task) -> list[Example]:
    return [example for split in SPLITS for example in task.examples(split)]


def test_reference_answers_grade_1(task: Task) -> None:
    assert [example.id for example in everything(task) if task.grade(example, example.answer) != 1] == []


def test_ids_are_unique_over_all_splits(task: Task) -> None:
    ids = [example.id for example in everything(task)]
    assert len(ids) == len(set(ids))
    assert all(name.startswith(f"{task.name}/") for name in ids)


def test_ids_are_the_same_for_ever(task: Task) -> None:
    if task.name in FIRST_IDS:
        assert task.examples("test", 1)[0].id == FIRST_IDS[task.name]


def test_another_session_draws_the_same_items() -> None:
    program = (
        "from holdfast.core import registry\n"
        "for name in registry.names('tasks'):\n"
        "    for e in registry.lookup('tasks', name)().examples('train', 3, seed=5): print(e.id, e.prompt, e.answer)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    ).stdout
    here = [
        f"{example.id} {example.prompt} {example.answer}"
        for name in registry.names("tasks")
        for example in registry.lookup("tasks", name)().examples("train", 3, seed=5)
    ]
    assert out.splitlines() == here


def test_no_item_is_in_two_splits(task: Task) -> None:
    for one, other in combinations(SPLITS, 2):
        here, there = task.examples(one), task.examples(other)
        assert not {example.id for example in here} & {example.id for example in there}
        assert not {(e.prompt, e.answer) for e in here} & {(e.prompt, e.answer) for e in there}


def test_no_question_is_asked_twice(task: Task) -> None:
    asked = [(example.prompt, example.answer if task.ask == "read" else "") for example in everything(task)]
    assert len(asked) == len(set(asked))


def test_every_split_has_items(task: Task) -> None:
    sizes = {split: len(task.examples(split)) for split in SPLITS}
    assert min(sizes.values()) >= 50
    assert sizes["train"] >= 2.9 * max(sizes["validation"], sizes["test"])


def test_a_seed_fixes_the_order(task: Task) -> None:
    order = [example.id for example in task.examples("test", seed=3)]
    assert [example.id for example in task.examples("test", seed=3)] == order
    other = [example.id for example in task.examples("test", seed=4)]
    assert other != order and sorted(other) == sorted(order)


def test_a_limit_takes_the_first(task: Task) -> None:
    assert task.examples("test", 7) == task.examples("test")[:7]
    assert task.examples("test", 0) == []


def test_wrong_answers_grade_0(task: Task) -> None:
    for example in task.examples("test", 50):
        wrong = [choice for choice in example.choices if choice != example.answer]
        for response in ("", " nonsense", f"{example.answer} nonsense", *wrong):
            assert task.grade(example, response) == 0


def test_answers_begin_with_the_space_that_separates_them(task: Task) -> None:
    for example in task.examples("test", 50):
        for completion in (example.answer, *example.choices) if example.prompt else ():
            assert completion.startswith(" ") and not completion.startswith("  ")
        assert example.prompt == example.prompt.rstrip()


def test_choices_hold_the_answer_once(task: Task) -> None:
    for example in everything(task):
        if task.ask == "choose":
            assert example.choices.count(example.answer) == 1
            assert len(set(example.choices)) == len(example.choices)
        else:
            assert not example.choices


def test_only_answers_that_are_generated_have_a_token_limit(task: Task) -> None:
    assert (task.max_new_tokens > 0) == (task.ask == "generate")


def guess(example: Example) -> float:
    """Score of a guess that knows the form of an answer and nothing else."""
    if example.choices:
        return 1 / len(example.choices)
    if example.answer in {" true", " false"}:
        return 1 / 2
    return 1 / 4 if str(example.prompt).startswith("Which is of another kind") else 0.0


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("name", ["endings", "logic"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_chance_is_what_a_guess_scores(name: str, split: str) -> None:
    task = registry.lookup("tasks", name)()
    assert mean([guess(example) for example in task.examples(split)]) == pytest.approx(task.chance_frac, abs=0.02)


def test_the_right_choice_stands_in_every_place_equally_often() -> None:
    task = registry.lookup("tasks", "endings")()
    examples = everything(task)
    places = [example.choices.index(example.answer) for example in examples]
    shares = [places.count(place) / len(places) for place in range(4)]
    # Standard error 0.0066; four places, so a false alarm in about 1 of 4,000 worlds, and this world is fixed.
    assert shares == pytest.approx([0.25] * 4, abs=0.025)


@given(st.lists(st.text(max_size=4) | st.integers() | st.booleans(), max_size=4))
def test_a_digest_is_a_number_of_64_bits(parts: list[object]) -> None:
    assert 0 <= digest(*parts) < 2**64
    assert digest(*parts) == digest(*parts)


def test_a_digest_is_the_same_for_ever_and_depends_on_order() -> None:
    # printf 'a\x1fb' | b2sum -l 64
    assert f"{digest('a', 'b'):016x}" == "f84c4d669fe0d410"
    assert digest("a", "b") != digest("b", "a") != digest("ab")
