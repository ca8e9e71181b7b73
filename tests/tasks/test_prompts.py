"""Prompts are read as they stand; every fault is named with its file and line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.tasks.prompts import COLUMNS, drawn, prompts_of, read_prompts

KEYS = ", ".join(COLUMNS)


def written(folder: Path, name: str, text: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def fault(file: Path) -> str:
    with pytest.raises(BadData) as caught:
        read_prompts(file)
    return str(caught.value).replace(str(file), file.name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.txt", "one\n\n two \n  \nthree"),
        ("p.TXT", "one\r\n two \r\nthree\r\n"),
        ("p.txt", "\ufeffone\n two \nthree\n"),
        ("p.jsonl", '"one"\n{"input": " two "}\n\n{"text": "three", "id": 4}\n'),
        ("p.json", '["one", {"question": " two "}, {"prompt": "", "query": "three"}]'),
    ],
)
def test_every_shape_of_file_is_understood(tmp_path: Path, name: str, text: str) -> None:
    assert [prompt.rstrip("\r") for prompt in read_prompts(written(tmp_path, name, text))] == ["one", " two ", "three"]


@pytest.mark.parametrize("first", range(len(COLUMNS)))
def test_a_prompt_is_taken_from_the_first_column_that_has_one(tmp_path: Path, first: int) -> None:
    row: dict[str, Any] = {name: f"in {name}" for name in reversed(COLUMNS[first:])}
    row |= dict(zip(COLUMNS[:first], [None, " ", 7, [], "", {}], strict=False))
    assert read_prompts(written(tmp_path, "p.jsonl", json.dumps(row))) == (f"in {COLUMNS[first]}",)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1), min_size=1))
def test_signs_that_only_python_takes_for_the_end_of_a_line_stay_in_their_prompt(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[str]
) -> None:
    folder, wanted = tmp_path_factory.mktemp("prompts"), tuple(f"x{prompt}" for prompt in prompts)
    assert read_prompts(written(folder, "p.txt", "\n".join(wanted))) == wanted
    rows = "\n".join(json.dumps({"prompt": prompt}, ensure_ascii=False) for prompt in wanted)
    assert read_prompts(written(folder, "p.jsonl", rows)) == wanted
    assert read_prompts(written(folder, "p.json", json.dumps(list(wanted)))) == wanted


def test_a_separator_inside_a_row_does_not_cut_it(tmp_path: Path) -> None:
    assert read_prompts(written(tmp_path, "p.jsonl", '{"prompt": "one\u2028more\x85"}')) == ("one\u2028more\x85",)
    assert read_prompts(written(tmp_path, "p.txt", "one\x0cmore")) == ("one\x0cmore",)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("p.txt", " \n", f"p.txt is empty; expected a prompt a line, or rows with one of {KEYS}"),
        ("p.jsonl", "", f"p.jsonl is empty; expected a prompt a line, or rows with one of {KEYS}"),
        ("p.json", "[]", f"p.json is empty; expected a prompt a line, or rows with one of {KEYS}"),
        ("p.csv", "prompt\nx", "p.csv: prompts are read from .txt, .jsonl, .json"),
        ("p", "x", "p: prompts are read from .txt, .jsonl, .json"),
        (
            "p.txt",
            b"ok\n\xff",
            "p.txt is not text in UTF-8: 'utf-8' codec can't decode byte 0xff in position 3: invalid start byte",
        ),
        ("p.jsonl", '"one"\n\n{"prompt": }', "p.jsonl, line 3: not JSON (Expecting value at column 12)"),
        ("p.json", '["one",\n}]', "p.json, line 2: not JSON (Expecting value)"),
        ("p.json", '{"prompt": "one"}', "p.json: expected a list of rows, found a dict"),
        ("p.jsonl", '"one"\n7', f"p.jsonl, line 2: expected a text in one of {KEYS}, found int"),
        ("p.jsonl", '" "', f"p.jsonl, line 1: expected a text in one of {KEYS}, found str"),
        ("p.jsonl", "{}", f"p.jsonl, line 1: expected a text in one of {KEYS}, found nothing"),
        ("p.json", '["x", {"a": 1, "b": 2}]', f"p.json, row 2: expected a text in one of {KEYS}, found 'a', 'b'"),
        ("p.json", '[{"prompt": 3}]', f"p.json, row 1: expected a text in one of {KEYS}, found 'prompt'"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path: Path, name: str, text: str | bytes, wanted: str) -> None:
    assert fault(written(tmp_path, name, text)) == wanted


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert fault(tmp_path / "nosuch.txt") == "there is no file 'nosuch.txt'"
    (tmp_path / "folder.txt").mkdir()
    assert fault(tmp_path / "folder.txt") == "folder.txt cannot be read: Is a directory"


@given(st.lists(st.integers(), max_size=30), st.none() | st.integers(0, 40), st.integers(0, 9))
def test_a_draw_keeps_the_order_and_is_the_same_for_the_same_seed(
    numbers: list[int], limit: int | None, seed: int
) -> None:
    prompts = [f"{place}: {number}" for place, number in enumerate(numbers)]
    found = drawn(prompts, limit, seed)
    assert len(found) == min(len(prompts), len(prompts) if limit is None else limit)
    assert [prompt for prompt in prompts if prompt in found] == list(found)
    assert found == drawn(prompts, limit, seed)


def test_another_seed_draws_other_prompts(tmp_path: Path) -> None:
    file = written(tmp_path, "p.txt", "\n".join(map(str, range(100))))
    assert read_prompts(file, 10, seed=0) != read_prompts(file, 10, seed=1)
    assert len(read_prompts(file, 10)) == 10
    assert read_prompts(file, 100) == read_prompts(file) == tuple(map(str, range(100)))


@dataclass(frozen=True)
class Fixed:
    """A task of given examples."""

    name: str
    examples_of: Sequence[Example]
    asked: list[str] = field(default_factory=list)

    def examples(self, split: str, limit: int | None, seed: int) -> Sequence[Example]:
        self.asked.append(split)
        return self.examples_of[:limit]


TURNS = ({"role": "user", "content": "Hello"},)


def several(name: str, count: int) -> Any:
    return Fixed(name, [Example(f"{name}/{at}", f"{name} {at}", "yes") for at in range(count)])


def test_prompts_of_tasks_come_from_test_items_as_many_of_each() -> None:
    tasks = [several("a", 5), several("b", 5)]
    assert prompts_of(tasks, 4) == ("a 0", "a 1", "b 0", "b 1")
    assert len(prompts_of(tasks)) == 10
    assert {split for task in tasks for split in task.asked} == {"test"}


def test_there_are_never_more_prompts_than_asked_for() -> None:
    assert len(prompts_of([several(name, 5) for name in "abcde"], 3)) == 3


def test_a_text_without_a_prompt_is_read_as_a_whole() -> None:
    task: Any = Fixed("text", [Example("t", "", "Once upon a time.")])
    assert prompts_of([task]) == ("Once upon a time.",)


def test_conversations_are_left_out_and_refused_where_there_is_nothing_else() -> None:
    talk: Any = Fixed("talk", [Example("t", TURNS, "Good day")])
    assert prompts_of([talk, several("a", 1)]) == ("a 0",)
    with pytest.raises(BadData) as caught:
        prompts_of([talk, talk])
    assert str(caught.value) == "talk, talk: conversations are not read as prompts yet"
