"""The shapes in which people keep training data, and what each of them means."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.errors import BadData
from holdfast.core.task import Message

ENCODING = "utf-8-sig"
"""UTF-8, with or without the mark that spreadsheets put in front."""

END_OF_TEXT = "<|endoftext|>"
PIECE_CHARACTERS = 1000
SHAPES = (
    "'prompt' + 'completion', 'messages', 'text', 'instruction' + 'output' (alpaca), 'conversations' (sharegpt), "
    "or 'question' + 'choices' + 'gold'"
)
SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True)
class Row:
    """One row of data, whatever its shape was.

    Attributes:
        prompt: What is given; empty for plain text.
        answer: What is to be said, with the white space that separates it from a plain prompt.
        choices: What may be chosen.
        answers: All answers that count as right, where there are several.
    """

    prompt: str | tuple[Message, ...]
    answer: str
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Rows of one file.

    Attributes:
        rows: The rows.
        in_order: Whether they are pieces of one text, which must not be shuffled before it is split.
    """

    rows: tuple[Row, ...]
    in_order: bool = False


def read_rows(path: Path) -> Rows:
    """All rows of a file.

    Raises:
        BadData: If the file is empty, of an unknown kind, or a row is not of a known shape; says which line.
    """
    kind = path.suffix.lower()
    readers: dict[str, Callable[[Path], Iterator[tuple[str, Any]]]] = {
        ".jsonl": _jsonl,
        ".json": _json,
        ".csv": _csv,
        ".parquet": _parquet,
    }
    if kind != ".txt" and kind not in readers:
        raise BadData(f"{path}: files of kind '{kind}' are not read; give one of {', '.join(readers)}, .txt")
    try:
        rows = _text(path) if kind == ".txt" else _said(readers[kind](path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path} cannot be read: {error}") from error
    if not rows.rows:
        raise BadData(f"{path} is empty; expected {'text' if kind == '.txt' else f'rows with {SHAPES}'}")
    return rows


def _said(contents: Iterable[tuple[str, Any]]) -> Rows:
    """All rows but texts in which nothing stands; data sets of prose hold many."""
    rows = (row_of(content, where) for where, content in contents)
    return Rows(tuple(row for row in rows if row.prompt or row.answer.strip()))


def read_hub(name: str) -> Mapping[str, Rows]:
    """All splits of a data set of the hub.

    Raises:
        BadData: If there is none of that name, or the hub cannot be reached.
    """
    import datasets  # imported here: it takes a second, and most tasks are files

    try:
        parts = datasets.load_dataset(name)
    except Exception as error:  # datasets raises errors of many kinds; each of them means that there is no data
        raise BadData(
            f"'{name}' is no file here, no task, and no data set that the hub gives now "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'})"
        ) from error
    return {
        str(split): _said((f"{name}, {split}, row {i}", content) for i, content in enumerate(part, start=1))
        for split, part in parts.items()
    }


def row_of(content: Any, where: str) -> Row:
    """A row from its columns.

    Args:
        content: Columns by name.
        where: Where the row stands, for people.

    Raises:
        BadData: If the columns are not of a known shape.
    """
    if not isinstance(content, Mapping):
        raise BadData(f"{where}: expected an object with {SHAPES}, found a {type(content).__name__}")
    columns = {key: value for key, value in content.items() if value is not None}
    try:
        for needed, shape in _SHAPES:
            if all(name in columns for name in needed):
                return shape(columns)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadData(f"{where}: {error}") from error
    raise BadData(f"{where}: expected {SHAPES}, found columns {', '.join(map(repr, content)) or 'none'}")


def _choices(columns: Mapping[str, Any]) -> Row:
    question = columns.get("question", columns.get("query"))
    if question is None:
        raise ValueError("'choices' need a 'question'")
    if not isinstance(columns["choices"], list | tuple) or len(columns["choices"]) < 2:
        raise ValueError(f"'choices' must be a list of two or more, found {columns['choices']!r}")
    choices = tuple(_spaced(str(choice)) for choice in columns["choices"])
    gold = columns.get("gold", columns.get("answer"))
    if not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise ValueError(f"'gold' must be the position of the right choice, 0 to {len(choices) - 1}, found {gold!r}")
    return Row(str(question).rstrip(), choices[gold], choices)


def _completion(columns: Mapping[str, Any]) -> Row:
    prompt, completion = columns["prompt"], columns["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        bare = prompt.rstrip()
        # White space at the end of the prompt goes to the completion: tokens are cut where it begins.
        between = "" if completion[:1].isspace() else prompt[len(bare) :]
        return Row(bare, _spaced(between + completion) if prompt else completion)
    if isinstance(prompt, str) or isinstance(completion, str):
        raise ValueError("'prompt' and 'completion' must both be texts, or both lists of turns")
    return _turns([*prompt, *completion])


def _question(columns: Mapping[str, Any]) -> Row:
    answers = columns.get("answers", columns.get("answer"))
    if isinstance(answers, Mapping):
        raise ValueError("'answers' must be a text or a list of texts, found an object")
    answers = tuple(map(str, answers)) if isinstance(answers, list | tuple) else (str(answers),)
    if not answers:
        raise ValueError("'answers' is empty")
    return Row(str(columns["question"]).rstrip(), _spaced(answers[0]), answers=answers)


def _alpaca(columns: Mapping[str, Any]) -> Row:
    given = str(columns.get("input") or "")
    prompt = f"{columns['instruction']}\n\n{given}" if given else str(columns["instruction"])
    return Row(prompt.rstrip(), _spaced(str(columns["output"])))


def _sharegpt(columns: Mapping[str, Any]) -> Row:
    turns = columns["conversations"]
    for turn in turns:
        if not isinstance(turn, Mapping) or turn.get("from") not in SPEAKERS or "value" not in turn:
            raise ValueError(f"a turn needs 'from' ({', '.join(SPEAKERS)}) and 'value', found {turn!r}")
    return _turns([{"role": SPEAKERS[turn["from"]], "content": turn["value"]} for turn in turns])


def _turns(turns: Any) -> Row:
    """A conversation: its last turn is what is to be said, and must be the assistant's."""
    for turn in turns:
        if not isinstance(turn, Mapping) or not all(isinstance(turn.get(key), str) for key in ("role", "content")):
            raise ValueError(f"a turn needs 'role' and 'content', both texts, found {turn!r}")
    checked = [Message(role=turn["role"], content=turn["content"]) for turn in turns]
    if len(checked) < 2 or checked[-1]["role"] != "assistant":
        raise ValueError("a conversation needs a turn to be answered and ends with a turn of the assistant")
    return Row(tuple(checked[:-1]), checked[-1]["content"])


_SHAPES: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Row]], ...] = (
    (("choices",), _choices),
    (("prompt", "completion"), _completion),
    (("messages",), lambda columns: _turns(columns["messages"])),
    (("conversations",), _sharegpt),
    (("instruction", "output"), _alpaca),
    (("question", "answers"), _question),
    (("question", "answer"), _question),
    (("text",), lambda columns: Row("", str(columns["text"]))),
)


def _spaced(answer: str) -> str:
    """An answer with the one space that separates it from a prompt that ends without one."""
    return answer if answer[:1].isspace() else f" {answer}"


def _jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding=ENCODING) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield f"{path}, line {number}", json.loads(line.rstrip("\r\n"))
                except json.JSONDecodeError as error:
                    raise BadData(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno})") from error


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding=ENCODING))
    except json.JSONDecodeError as error:
        raise BadData(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    rows = content.get("examples") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise BadData(f"{path}: expected a list of rows, found a {type(content).__name__}")
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", {"text": row} if isinstance(row, str) else row


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding=ENCODING, newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield f"{path}, line {reader.line_num}", row


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet  # comes with datasets; imported here because most data is JSON lines

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise BadData(f"{path} is not a Parquet file: {error}") from error
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"{path}, row {number}", row


def _text(path: Path) -> Rows:
    """A text file: documents between end-of-text marks, or else pieces of one text, cut at empty lines."""
    text = path.read_text(encoding=ENCODING)
    if END_OF_TEXT in text:
        documents = [part.strip() for part in text.split(END_OF_TEXT)]
        return Rows(tuple(Row("", document) for document in documents if document))
    pieces, piece = [], ""
    for paragraph in text.split("\n\n"):
        if piece and len(piece) + len(paragraph) > PIECE_CHARACTERS:
            pieces.append(piece)
            piece = ""
        piece = f"{piece}\n\n{paragraph}".strip("\n")
    pieces.append(piece)
    return Rows(tuple(Row("", piece) for piece in pieces if piece.strip()), in_order=True)
