"""Documents are read as they were written, and errors say which file, what was expected, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.core.document import Document, read_document
from holdfast.core.errors import DamagedCheckpoint


class Note(Document):
    """Something written."""

    text: str


def fault(file: Path) -> str:
    with pytest.raises(DamagedCheckpoint) as caught:
        read_document(Note, file, "a note", "was it ever written?")
    return str(caught.value)


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    note = Note(text="ä")
    (tmp_path / "note.json").write_text(note.model_dump_json(), encoding="utf-8")
    assert read_document(Note, tmp_path / "note.json", "a note", "") == note


def test_a_missing_file_is_named_with_what_to_think_of(tmp_path: Path) -> None:
    assert fault(tmp_path / "note.json") == f"{tmp_path / 'note.json'} is missing: was it ever written?"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "it is not text in UTF-8"),
        (b"{", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        (b"{}", "Field required"),
        (b'{"text": "a", "more": 1}', "Extra inputs are not permitted"),
    ],
)
def test_another_content_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "note.json").write_bytes(content)
    assert fault(tmp_path / "note.json") == f"{tmp_path / 'note.json'} does not hold a note: {said}"


def test_a_document_stays_as_it_is() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Note(text="a").text = "b"  # type: ignore[misc]
