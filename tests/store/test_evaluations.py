"""Scores that are kept survive a kill at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.errors import DamagedCheckpoint
from holdfast.store.evaluations import ScoreLog


def test_what_was_noted_is_known_again(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path / "kept" / "log.jsonl")
    log.note(0.1, 3, [0, 2], [1.0, 0.0])
    log.note(0.1, 3, [1], [1 / 3])
    log.note(0.2, 3, [0], [0.5])
    again = ScoreLog(tmp_path / "kept" / "log.jsonl")
    for each in (log, again):
        assert each.known(0.1, 3) == {0: 1.0, 1: 1 / 3, 2: 0.0} and each.known(0.2, 3) == {0: 0.5}
        assert each.known(0.1, 4) == {}


def test_a_line_that_a_kill_cut_off_is_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    ScoreLog(file).note(0.1, 0, [0], [1.0])
    whole = file.read_bytes()
    ScoreLog(file).note(0.1, 1, [0], [1.0])
    for end in range(len(whole), 2 * len(whole)):
        file.write_bytes((whole + whole)[:end])
        log = ScoreLog(file)
        assert file.read_bytes() == whole
        log.note(0.2, 0, [0], [0.0])
        assert ScoreLog(file).known(0.2, 0) == {0: 0.0}


@pytest.mark.parametrize("line", ["{}", "[0.1, 2, [0]]", "[0.1, 2, [0, 1], [1.0]]", "nonsense"])
def test_a_whole_line_of_something_else_is_told(tmp_path: Path, line: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(f"[0.1, 0, [0], [1.0]]\n{line}\n")
    with pytest.raises(DamagedCheckpoint, match=r"line 2: not scores of a basin .* remove the file to ask again"):
        ScoreLog(file)


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    log = ScoreLog()
    log.note(0.1, 0, [0], [1.0])
    assert log.known(0.1, 0) == {0: 1.0} and not list(tmp_path.iterdir())
