"""Data in the shapes in which people keep it; every fault is named with its file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import BadData
from holdfast.tasks.formats import PIECE_CHARACTERS, SHAPES, Row, read_hub, read_rows, row_of

USER, BOT = {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}


def written(folder: Path, name: str, text: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def fault(file: Path) -> str:
    with pytest.raises(BadData) as caught:
        read_rows(file)
    return str(caught.value).replace(str(file), file.name)


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ({"prompt": "Who?", "completion": " Me."}, Row("Who?", " Me.")),
        ({"prompt": "Who?", "completion": "Me."}, Row("Who?", " Me.")),
        ({"prompt": "Who? ", "completion": "Me."}, Row("Who?", " Me.")),
        ({"prompt": "Who? ", "completion": " Me."}, Row("Who?", " Me.")),
        ({"prompt": "### Answer:\n", "completion": "Me."}, Row("### Answer:", "\nMe.")),
        ({"prompt": "", "completion": "Me."}, Row("", "Me.")),
        ({"prompt": [USER], "completion": [BOT]}, Row((USER,), "Good day")),
        ({"messages": [USER, BOT]}, Row((USER,), "Good day")),
        ({"messages": [USER, BOT, USER, BOT]}, Row((USER, BOT, USER), "Good day")),
        (
            {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Good day"}]},
            Row((USER,), "Good day"),
        ),
        (
            {"conversations": [{"from": "system", "value": "Hm"}, {"from": "user", "value": "Hello"},
                               {"from": "assistant", "value": "Good day"}]},
            Row(({"role": "system", "content": "Hm"}, USER), "Good day"),
        ),
        ({"instruction": "Add.", "input": "1 2", "output": "3"}, Row("Add.\n\n1 2", " 3")),
        ({"instruction": "Add.", "input": "", "output": "3"}, Row("Add.", " 3")),
        ({"instruction": "Add.", "output": 3}, Row("Add.", " 3")),
        ({"question": "Who?", "answer": "Me"}, Row("Who?", " Me", answers=("Me",))),
        ({"question": "Who? ", "answers": ["Me", "I"]}, Row("Who?", " Me", answers=("Me", "I"))),
        ({"question": "Which? ", "choices": ["a", " b"], "gold": 1}, Row("Which?", " b", (" a", " b"))),
        ({"query": "Which?", "choices": ["a", "b"], "answer": 0}, Row("Which?", " a", (" a", " b"))),
        ({"text": "Once upon a time."}, Row("", "Once upon a time.")),
    ],
)  # fmt: skip
def test_every_shape_is_understood(columns: dict[str, Any], row: Row) -> None:
    assert row_of(columns, "here") == row
    assert row_of({**columns, "ignored": 1, "absent": None}, "here") == row


@given(st.text(), st.text(min_size=1))
def test_prompt_and_completion_part_where_a_word_begins(prompt: str, completion: str) -> None:
    row = row_of({"prompt": prompt, "completion": completion}, "here")
    assert row.prompt == str(row.prompt).rstrip()
    assert row.answer.strip() == completion.strip()
    if prompt.strip() and not completion[0].isspace():
        between = prompt[len(prompt.rstrip()) :] or " "
        assert f"{row.prompt}{row.answer}" == f"{prompt.rstrip()}{between}{completion}"


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ("words", f"expected an object with {SHAPES}, found a str"),
        ({}, f"expected {SHAPES}, found columns none"),
        ({"a": 1, "b": 2}, f"expected {SHAPES}, found columns 'a', 'b'"),
        ({"prompt": "x", "completion": None}, f"expected {SHAPES}, found columns 'prompt', 'completion'"),
        ({"prompt": "x", "completion": [BOT]}, "'prompt' and 'completion' must both be texts, or both lists of turns"),
        ({"question": "x", "answers": []}, "'answers' is empty"),
        ({"question": "x", "answers": {"text": ["a"]}}, "'answers' must be a text or a list of texts, found an object"),
        ({"choices": ["a", "b"], "gold": 0}, "'choices' need a 'question'"),
        ({"question": "x", "choices": "ab", "gold": 0}, "'choices' must be a list of two or more, found 'ab'"),
        ({"question": "x", "choices": ["a"], "gold": 0}, "'choices' must be a list of two or more, found ['a']"),
        (
            {"question": "x", "choices": ["a", "b"], "gold": 2},
            "'gold' must be the position of the right choice, 0 to 1, found 2",
        ),
        (
            {"question": "x", "choices": ["a", "b"], "gold": -1},
            "'gold' must be the position of the right choice, 0 to 1, found -1",
        ),
        (
            {"question": "x", "choices": ["a", "b"], "answer": "b"},
            "'gold' must be the position of the right choice, 0 to 1, found 'b'",
        ),
        (
            {"question": "x", "choices": ["a", "b"]},
            "'gold' must be the position of the right choice, 0 to 1, found None",
        ),
        ({"messages": [USER]}, "a conversation needs a turn to be answered and ends with a turn of the assistant"),
        ({"messages": [BOT]}, "a conversation needs a turn to be answered and ends with a turn of the assistant"),
        ({"messages": [BOT, USER]}, "a conversation needs a turn to be answered and ends with a turn of the assistant"),
        ({"messages": ["hello"]}, "a turn needs 'role' and 'content', both texts, found 'hello'"),
        ({"messages": [{"role": "user"}]}, "a turn needs 'role' and 'content', both texts, found {'role': 'user'}"),
        (
            {"messages": [USER, {"role": "assistant", "content": None}]},
            "a turn needs 'role' and 'content', both texts, found {'role': 'assistant', 'content': None}",
        ),
        (
            {"conversations": [{"from": "b", "value": "x"}]},
            "a turn needs 'from' (human, user, gpt, assistant, system) and 'value', found {'from': 'b', 'value': 'x'}",
        ),
    ],
)
def test_columns_of_no_known_shape_are_refused_with_what_was_expected(columns: Any, what: str) -> None:
    with pytest.raises(BadData) as caught:
        row_of(columns, "data.jsonl, line 3")
    assert str(caught.value) == f"data.jsonl, line 3: {what}"


QUESTIONS = [{"question": "Who?", "answer": "Me"}, {"question": "Wo?", "answer": "Da ü"}]
ROWS = tuple(row_of(question, "here") for question in QUESTIONS)


def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    lines = "\n\n".join(json.dumps(question, ensure_ascii=False) for question in QUESTIONS)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(QUESTIONS), tmp_path / "data.parquet")
    files = [
        written(tmp_path, "data.jsonl", lines),
        written(tmp_path, "data.json", json.dumps(QUESTIONS)),
        written(tmp_path, "nested.json", json.dumps({"canary": "x", "examples": QUESTIONS})),
        written(tmp_path, "data.csv", 'question,answer\nWho?,Me\nWo?,"Da ü"\n'),
        tmp_path / "data.parquet",
    ]
    assert [read_rows(file).rows for file in files] == [ROWS] * len(files)
    assert not any(read_rows(file).in_order for file in files)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "json"])
def test_the_mark_that_spreadsheets_put_in_front_is_no_part_of_the_data(tmp_path: Path, kind: str) -> None:
    text = {"jsonl": json.dumps(QUESTIONS[0]), "csv": "question,answer\nWho?,Me\n", "json": json.dumps(QUESTIONS[:1])}
    file = written(tmp_path, f"data.{kind}", b"\xef\xbb\xbf" + text[kind].encode())
    assert read_rows(file).rows == ROWS[:1]


def test_line_breaks_inside_a_field_do_not_end_it(tmp_path: Path) -> None:
    file = written(tmp_path, "data.csv", 'text,category\n"one\ntwo",x\n')
    assert read_rows(file).rows == (Row("", "one\ntwo"),)


def test_a_list_of_strings_is_a_list_of_texts(tmp_path: Path) -> None:
    assert read_rows(written(tmp_path, "stories.json", '["One.", "Two."]')).rows == (Row("", "One."), Row("", "Two."))


def test_texts_in_which_nothing_stands_are_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, "prose.jsonl", '{"text": ""}\n{"text": "One."}\n{"text": " \\n"}\n')
    assert read_rows(file).rows == (Row("", "One."),)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.jsonl", '{"text": "x"}\n\n{"text": \n', "a.jsonl, line 3: not JSON (Expecting value at column 10)"),
        ("a.jsonl", '{"text": "x"}\n[1]\n', f"a.jsonl, line 2: expected an object with {SHAPES}, found a list"),
        ("a.jsonl", '{"question": "x", "answers": []}', "a.jsonl, line 1: 'answers' is empty"),
        ("a.json", '[\n{"text": "x"},\n', "a.json, line 3: not JSON (Expecting value)"),
        ("a.json", '{"rows": []}', "a.json: expected a list of rows, found a dict"),
        ("a.json", "3", "a.json: expected a list of rows, found a int"),
        ("a.json", '[{"text": "x"}, {"txt": "y"}]', f"a.json, row 2: expected {SHAPES}, found columns 'txt'"),
        ("a.csv", "prompt,answer\nx,y\n", f"a.csv, line 2: expected {SHAPES}, found columns 'prompt', 'answer'"),
        (
            "a.csv",
            "question,choices,gold\nx,ab,0\n",
            "a.csv, line 2: 'choices' must be a list of two or more, found 'ab'",
        ),
        ("a.jsonl", "", f"a.jsonl is empty; expected rows with {SHAPES}"),
        ("a.jsonl", "\n \n", f"a.jsonl is empty; expected rows with {SHAPES}"),
        ("a.jsonl", '{"text": ""}', f"a.jsonl is empty; expected rows with {SHAPES}"),
        ("a.json", "[]", f"a.json is empty; expected rows with {SHAPES}"),
        ("a.csv", "", f"a.csv is empty; expected rows with {SHAPES}"),
        ("a.csv", "question,answer\n", f"a.csv is empty; expected rows with {SHAPES}"),
        ("a.txt", "", "a.txt is empty; expected text"),
        ("a.txt", "\n\n \n", "a.txt is empty; expected text"),
        ("a.txt", "<|endoftext|>\n<|endoftext|>", "a.txt is empty; expected text"),
        ("a.xlsx", "x", "a.xlsx: files of kind '.xlsx' are not read; give one of .jsonl, .json, .csv, .parquet, .txt"),
        ("a", "x", "a: files of kind '' are not read; give one of .jsonl, .json, .csv, .parquet, .txt"),
        ("a.csv", f"text\n{'x' * 200_000}\n", "a.csv cannot be read: field larger than field limit (131072)"),
    ],
)
def test_a_fault_is_told_with_file_line_and_what_was_expected(tmp_path: Path, name: str, text: str, what: str) -> None:
    assert fault(written(tmp_path, name, text)) == what


def test_lines_with_columns_too_few_or_too_many_are_read(tmp_path: Path) -> None:
    assert read_rows(written(tmp_path, "a.csv", "text,more\none\ntwo,x,y\n")).rows == (Row("", "one"), Row("", "two"))


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "txt"])
def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path, kind: str) -> None:
    assert fault(written(tmp_path, f"a.{kind}", "text\nÜbung\n".encode("latin-1"))).startswith(
        f"a.{kind} cannot be read: 'utf-8' codec can't decode byte 0xdc"
    )


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    assert fault(written(tmp_path, "a.parquet", "no")).startswith("a.parquet is not a Parquet file: ")


def test_a_row_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"question": ["a", "b"], "answers": [["x"], []]}), tmp_path / "a.parquet")
    assert fault(tmp_path / "a.parquet") == "a.parquet, row 2: 'answers' is empty"


def test_documents_stand_between_end_of_text_marks(tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path, "a.txt", "One.\n\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\n"))
    assert rows.rows == (Row("", "One.\n\nStill one."), Row("", "Two."))
    assert not rows.in_order


@given(st.lists(st.text("ab \n", min_size=1, max_size=700), min_size=1, max_size=12))
def test_a_text_is_cut_at_empty_lines_and_nothing_but_those_is_lost(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[str]
) -> None:
    text = "\n\n".join(paragraphs)
    if not text.strip():
        return
    file = written(tmp_path_factory.mktemp("text"), "a.txt", text)
    rows = read_rows(file)
    assert rows.in_order
    assert "".join("".join(row.answer.split()) for row in rows.rows) == "".join(text.split())
    longest = max(len(part) for part in text.split("\n\n"))
    assert max(len(row.answer) for row in rows.rows) <= max(PIECE_CHARACTERS + 2, longest)


def test_a_name_that_the_hub_does_not_give_is_refused() -> None:
    with pytest.raises(BadData) as caught:
        read_hub("nobody/nothing")
    assert str(caught.value).startswith(
        "'nobody/nothing' is no file here, no task, and no data set that the hub gives now (ConnectionError: "
    )
