"""Scores of a sequence come from a spreadsheet or from JSON, and what is wrong in a file is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.errors import BadData
from holdfast.core.sequence_scores import SequenceScores, read_one_score_a_task, read_sequence_scores


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str, name: str = "scores.csv") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_an_empty_cell_is_missing(written) -> None:
    found = read_sequence_scores(written("sums, facts\n0.1,0\n.6 ,\n\n7e-1,0.5\n"))
    assert found == SequenceScores(tasks=("sums", "facts"), scores=((0.1, 0.0), (0.6, None), (0.7, 0.5)))


def test_spreadsheets_mark_their_text_and_quote_names(written) -> None:
    found = read_sequence_scores(written('\ufeff"a, b",c\r\n,\r\n1,\r\n1,0\r\n'))
    assert found == SequenceScores(tasks=("a, b", "c"), scores=((None, None), (1, None), (1, 0)))


def test_one_task_without_a_base_has_a_quoted_empty_cell(written) -> None:
    assert read_sequence_scores(written('a\n""\n0.5\n')).scores == ((None,), (0.5,))


def test_json_holds_all_that_belongs_to_a_sequence(written) -> None:
    whole = SequenceScores(
        tasks=("a",),
        scores=((None,), (0.5,)),
        alone=(0.6,),
        jointly=True,
        abilities=({"names": ("g",), "scores": ((0.5,), (0.4,))},),
    )
    assert read_sequence_scores(written(whole.model_dump_json(), "scores.json")) == whole


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "scores.csv is empty; the first line names the tasks in training order"),
        ("a,b\n0,0\n0,0,0\n", "scores.csv, line 3: 3 cells, and the first line names 2 tasks with commas between"),
        ("a;b\n0,5;0\n", "scores.csv, line 2: 2 cells, and the first line names 1 tasks with commas between"),
        ("a,b\nbase,0\n", "scores.csv, line 2, 'a': 'base' is not a number; a line holds scores alone, empty where mi"),
        ("a,b\n0,nan\n", "scores.csv, line 2, 'b': 'nan' is not finite; leave a cell empty where the score is missing"),
        ("a,b\n-inf,0\n", "'-inf' is not finite"),
    ],
)
def test_faults_of_a_table_are_told_with_their_place(written, text: str, told: str) -> None:
    with pytest.raises(BadData) as error:
        read_sequence_scores(written(text))
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "the whole: Invalid JSON"),
        ("[[1]]", "the whole: Input should be an object"),
        ('{"tasks": ["a"]}', "scores: Field required"),
        ('{"tasks": ["a"], "scores": [[NaN]]}', "scores.0.0: Input should be a finite number"),
        ('{"tasks": ["a"], "scores": [], "stages": 3}', "stages: Extra inputs are not permitted"),
    ],
)
def test_faults_of_json_are_told_with_their_place(written, text: str, told: str) -> None:
    with pytest.raises(BadData) as error:
        read_sequence_scores(written(text, "scores.json"))
    assert 'scores.json does not hold scores of a sequence, {"tasks": [...], "scores": [[...], ...]}: ' in str(
        error.value
    )
    assert told in str(error.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"there is no file .*nosuch"):
        read_sequence_scores(tmp_path / "nosuch.csv")
    with pytest.raises(BadData, match="is a folder; a CSV or JSON file is needed"):
        read_sequence_scores(tmp_path)
    (tmp_path / "latin.csv").write_bytes(b"caf\xe9\n")
    with pytest.raises(BadData, match="is not text in UTF-8"):
        read_sequence_scores(tmp_path / "latin.csv")


def test_one_score_a_task_is_put_into_training_order(written) -> None:
    assert read_one_score_a_task(written("b,a\n0.2,\n"), ("a", "b")) == (None, 0.2)
    assert read_one_score_a_task(written('{"b": 0.2, "a": null}', "alone.json"), ("a", "b")) == (None, 0.2)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("alone.csv", "a,b\n", "one line of scores is needed below the names of the tasks, found 0"),
        ("alone.csv", "a,b\n0,0\n0,0\n", "found 2"),
        ("alone.csv", "a,a\n0,0\n", "tasks need different names, found a, a"),
        ("alone.csv", "a,c\n0,0\n", "scores of a, b are needed, found those of a, c"),
        ("alone.json", "{}", "scores of a, b are needed, found those of none"),
        ("alone.json", "{", "alone.json, line 1: not JSON"),
        ("alone.json", "[0, 0]", 'does not hold one score a task, {"name": 0.5, ...}'),
        ("alone.json", '{"a": true, "b": 0}', "does not hold one score a task"),
    ],
)
def test_faults_of_one_score_a_task_are_told(written, name: str, text: str, told: str) -> None:
    with pytest.raises(BadData) as error:
        read_one_score_a_task(written(text, name), ("a", "b"))
    assert told in str(error.value)
