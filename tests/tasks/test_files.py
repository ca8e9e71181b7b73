"""Tasks of the user's own data are split by what they ask, for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import BadData
from holdfast.core.task import SPLITS, Example, Task
from holdfast.core.text import fingerprint
from holdfast.tasks import formats
from holdfast.tasks.combined import digest
from holdfast.tasks.files import FileTask


def jsonl(folder: Path, rows: list[dict[str, Any]], name: str = "data.jsonl") -> FileTask:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return FileTask(str(file))


def questions(count: int) -> list[dict[str, Any]]:
    return [{"question": f"What is number {i}?", "answer": str(i)} for i in range(count)]


def everything(task: Task) -> list[Example]:
    return [example for split in SPLITS for example in task.examples(split)]


def test_it_is_a_task(tmp_path: Path) -> None:
    task = jsonl(tmp_path, questions(40))
    assert isinstance(task, Task)
    assert task.name == task.source
    task.check()


def test_splits_are_by_a_hash_of_the_prompt_and_about_eight_one_one(tmp_path: Path) -> None:
    task = jsonl(tmp_path, questions(1000))
    sizes = {split: len(task.examples(split)) for split in SPLITS}
    assert sum(sizes.values()) == 1000
    # Binomial with p = 0.1: four standard errors are 38.
    assert abs(sizes["test"] - 100) < 38 and abs(sizes["validation"] - 100) < 38
    for split in SPLITS:
        for example in task.examples(split):
            share = digest("split", fingerprint(str(example.prompt))) / 2**64
            assert split == ("test" if share < 0.1 else "validation" if share < 0.2 else "train")


def test_an_item_stays_in_its_split_whatever_else_is_in_the_file(tmp_path: Path) -> None:
    few, many = jsonl(tmp_path / "a", questions(50)), jsonl(tmp_path / "b", questions(300)[::-1])
    for split in SPLITS:
        assert {e.prompt for e in few.examples(split)} <= {e.prompt for e in many.examples(split)}


def test_prompts_that_differ_in_setting_alone_are_on_the_same_side(tmp_path: Path) -> None:
    rows = questions(200)
    again = [{**row, "question": row["question"].upper().replace(" ", "  "), "answer": "x"} for row in rows]
    task = jsonl(tmp_path, [*rows, *again])
    sides = [{fingerprint(str(example.prompt)) for example in task.examples(split)} for split in SPLITS]
    assert sum(map(len, sides)) == 200
    assert len(everything(task)) == 400


def test_ids_are_those_of_the_content_and_of_the_name_of_the_file(tmp_path: Path) -> None:
    one, other = jsonl(tmp_path / "here", questions(20)), jsonl(tmp_path / "there", questions(20)[::-1])
    assert {example.id for example in everything(one)} == {example.id for example in everything(other)}
    by_prompt = {example.prompt: example.id for example in everything(one)}
    # printf 'What is number 3?\x1f 3' | b2sum -l 64
    assert by_prompt["What is number 3?"] == "data/bbd7803a79f811d2"


def test_rows_that_repeat_an_earlier_one_are_left_out(tmp_path: Path) -> None:
    task = jsonl(tmp_path, [*questions(30), *questions(30)])
    assert len(everything(task)) == 30


def test_a_seed_fixes_the_order_and_a_limit_takes_the_first(tmp_path: Path) -> None:
    task = jsonl(tmp_path, questions(200))
    train = task.examples("train", seed=1)
    assert task.examples("train", seed=1) == train == FileTask(task.source).examples("train", seed=1)
    assert task.examples("train", 5, seed=1) == train[:5]
    other = task.examples("train", seed=2)
    assert other != train and sorted(e.id for e in other) == sorted(e.id for e in train)


@given(st.sampled_from(["Me", " me", "ME\n", "I", " i "]))
def test_any_reference_answer_scores_and_case_and_space_do_not_count(response: str) -> None:
    example = Example("x", "Who?", " Me", facts={"answers": ("Me", "I")})
    assert FileTask("x").grade(example, response) == 1


@pytest.mark.parametrize("response", ["", "You", "Me, I", "M e"])
def test_other_answers_do_not_score(response: str) -> None:
    example = Example("x", "Who?", " Me", facts={"answers": ("Me", "I")})
    assert FileTask("x").grade(example, response) == 0


def test_reference_answers_grade_1(tmp_path: Path) -> None:
    for task in (
        jsonl(tmp_path, questions(30), "a.jsonl"),
        jsonl(tmp_path, [{"prompt": f"{i}", "completion": f"{i} x"} for i in range(30)], "b.jsonl"),
        jsonl(tmp_path, [{"query": f"{i}", "choices": ["a", "b"], "gold": i % 2} for i in range(30)], "c.jsonl"),
    ):
        assert {task.grade(example, example.answer) for example in everything(task)} == {1.0}


@pytest.mark.parametrize(
    ("rows", "ask"),
    [
        ([{"question": "a", "answer": "b"}], "generate"),
        ([{"prompt": "a", "completion": "x" * 63}], "generate"),
        ([{"prompt": "a", "completion": "x" * 64}], "read"),
        ([{"question": "a", "choices": ["b", "c"], "gold": 0}], "choose"),
        ([{"text": "a"}], "read"),
        ([{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}], "generate"),
        ([{"text": "a"}, {"question": "a", "answer": "b"}], "generate"),
    ],
)
def test_how_items_are_asked_is_told_by_their_shape(tmp_path: Path, rows: list[dict[str, Any]], ask: str) -> None:
    assert jsonl(tmp_path, rows).ask == ask


@pytest.mark.parametrize("ask", ["generate", "read"])
def test_the_name_may_say_how_items_are_asked(tmp_path: Path, ask: str) -> None:
    task = FileTask(f"{jsonl(tmp_path, questions(60)).source}#{ask}")
    task.check()
    assert task.ask == ask
    assert task.name.endswith(f"#{ask}")
    assert len(everything(task)) == 60
    assert (task.max_new_tokens > 0) == (ask == "generate")


def test_another_way_to_ask_is_refused(tmp_path: Path) -> None:
    task = FileTask(f"{jsonl(tmp_path, questions(60)).source}#sing")
    with pytest.raises(BadData) as caught:
        task.check()
    assert str(caught.value) == f"'{task.source}': after # comes one of generate, choose, read"


def test_items_without_choices_cannot_be_asked_by_choice(tmp_path: Path) -> None:
    task = FileTask(f"{jsonl(tmp_path, questions(60)).source}#choose")
    with pytest.raises(BadData) as caught:
        task.check()
    assert str(caught.value) == f"'{task.source}' is to be asked by choice, and not all of its rows have choices"


def test_chance_is_one_over_the_number_of_choices(tmp_path: Path) -> None:
    rows = [{"question": f"Which {i}?", "choices": list("abcd")[: 2 + i % 3], "gold": 0} for i in range(200)]
    task = jsonl(tmp_path, rows)
    test = task.examples("test")
    assert task.chance_frac == pytest.approx(sum(1 / len(example.choices) for example in test) / len(test))
    assert jsonl(tmp_path / "open", questions(20)).chance_frac == 0.0


def test_there_is_room_for_the_longest_answer(tmp_path: Path) -> None:
    task = jsonl(tmp_path, [{"question": str(i), "answer": "ü" * i} for i in range(1, 20)])
    assert task.max_new_tokens == 1 + len((" " + "ü" * 19).encode())


def test_a_text_is_split_in_order(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("\n\n".join(f"{i:03d} {'x' * 900}" for i in range(50)), encoding="utf-8")
    task = FileTask(str(file))
    numbers = {split: sorted(int(e.answer[:3]) for e in task.examples(split)) for split in SPLITS}
    assert numbers == {"train": list(range(40)), "validation": list(range(40, 45)), "test": list(range(45, 50))}


def test_documents_are_not_split_in_order(tmp_path: Path) -> None:
    file = tmp_path / "stories.txt"
    file.write_text("<|endoftext|>".join(f"Story {i}." for i in range(100)), encoding="utf-8")
    task = FileTask(str(file))
    task.check()
    tested = [int(example.answer[6:-1]) for example in task.examples("test")]
    assert min(tested) < 80


def test_a_folder_of_splits_is_taken_as_it_is(tmp_path: Path) -> None:
    rows = questions(6)
    jsonl(tmp_path, rows[:3], "train.jsonl")
    (tmp_path / "validation.csv").write_text("question,answer\nWho?,Me\n", encoding="utf-8")
    jsonl(tmp_path, rows[3:], "test.jsonl")
    task = FileTask(str(tmp_path))
    task.check()
    assert [example.prompt for example in task.examples("validation")] == ["Who?"]
    assert sorted(str(e.prompt) for e in task.examples("train")) == [row["question"] for row in rows[:3]]


def test_a_folder_without_a_split_is_refused(tmp_path: Path) -> None:
    jsonl(tmp_path, questions(3), "train.jsonl")
    with pytest.raises(BadData) as caught:
        FileTask(str(tmp_path)).check()
    assert str(caught.value) == (
        f"folder '{tmp_path}' has no validation file; expected train.jsonl, validation.jsonl, test.jsonl"
    )


def test_too_few_rows_are_refused_with_what_to_do(tmp_path: Path) -> None:
    task = jsonl(tmp_path, questions(1))
    with pytest.raises(BadData) as caught:
        task.check()
    assert str(caught.value).startswith(f"'{task.source}' has nothing on split '")
    assert str(caught.value).endswith("give more rows, or a folder with train, validation and test files")


def test_a_data_set_of_the_hub_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(BadData, match="'nobody/nothing' is no file here, no task, and no data set that the hub gives"):
        FileTask("nobody/nothing").check()


def hub(monkeypatch: pytest.MonkeyPatch, **parts: list[dict[str, Any]]) -> None:
    given_parts = {split: datasets.Dataset.from_list(rows) for split, rows in parts.items()}
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(given_parts))


def test_splits_of_the_hub_are_taken_as_they_are_where_all_three_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = questions(9)
    hub(monkeypatch, train=rows[:3], validation=rows[3:6], test=rows[6:])
    task = FileTask("somebody/three-splits")
    assert sorted(str(e.prompt) for e in task.examples("test")) == [row["question"] for row in rows[6:]]


def test_a_single_split_of_the_hub_is_parted_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, train=[*questions(100), *questions(3)])
    task = FileTask("somebody/one-split")
    task.check()
    assert len(everything(task)) == 100


def test_a_faulty_row_of_the_hub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, train=[{"question": "a", "answers": ["b"]}, {"question": "c", "answers": []}])
    with pytest.raises(BadData) as caught:
        formats.read_hub("somebody/faulty")
    assert str(caught.value) == "somebody/faulty, train, row 2: 'answers' is empty"


def test_reading_twice_reads_once(tmp_path: Path) -> None:
    task = jsonl(tmp_path, questions(20))
    first = everything(task)
    Path(task.source).unlink()
    assert everything(task) == first
