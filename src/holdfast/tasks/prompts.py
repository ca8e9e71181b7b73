"""Prompts from a file or from tasks: what models are listened to on, without any answer."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from holdfast.core.errors import BadData
from holdfast.core.task import Task

COLUMNS = ("prompt", "input", "question", "query", "problem", "instruction", "text")
"""Where a prompt is looked for in a row, in this order."""


def read_prompts(path: Path, limit: int | None = None, seed: int = 0) -> tuple[str, ...]:
    """Prompts of a file: one a line of a text, one a row of JSON or JSON lines.

    Args:
        path: The file.
        limit: Most prompts; drawn at random where there are more, in the order of the file.
        seed: Of the draw.

    Raises:
        BadData: If the file is empty, cannot be read, or a row has no prompt; says which line.
    """
    readers = {".txt": _lines, ".jsonl": _json_lines, ".json": _json}
    if path.suffix.lower() not in readers:
        raise BadData(f"{path}: prompts are read from {', '.join(readers)}")
    try:
        prompts = tuple(readers[path.suffix.lower()](path))
    except FileNotFoundError as error:
        raise BadData(f"there is no file '{path}'") from error
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not text in UTF-8: {error}") from error
    if not prompts:
        raise BadData(f"{path} is empty; expected a prompt a line, or rows with one of {', '.join(COLUMNS)}")
    return drawn(prompts, limit, seed)


def prompts_of(tasks: Sequence[Task], limit: int | None = None, seed: int = 0) -> tuple[str, ...]:
    """Prompts of tasks, as equally many of each as there are, from items that are kept for tests; texts are whole.

    Args:
        tasks: The tasks.
        limit: Most prompts of all tasks together.
        seed: Of the draw.

    Raises:
        BadData: If the tasks hold nothing but conversations.
    """
    share = None if limit is None else max(1, limit // len(tasks))
    asked = [
        example.prompt or example.answer
        for task in tasks
        for example in task.examples("test", share, seed)
        if isinstance(example.prompt, str)
    ]
    if not asked:
        raise BadData(f"{', '.join(task.name for task in tasks)}: conversations are not read as prompts yet")
    return drawn(asked, limit, seed)


def drawn(prompts: Sequence[str], limit: int | None, seed: int) -> tuple[str, ...]:
    """At most so many of the prompts, in their order."""
    if limit is None or len(prompts) <= limit:
        return tuple(prompts)
    return tuple(prompts[index] for index in sorted(random.Random(seed).sample(range(len(prompts)), limit)))


def _lines(path: Path) -> Iterator[str]:
    for line in _by_line(path):
        if line.strip():
            yield line


def _by_line(path: Path) -> list[str]:
    # Not splitlines: what else it takes for the end of a line may stand inside a prompt.
    return path.read_text(encoding="utf-8-sig").split("\n")


def _json_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(_by_line(path), start=1):
        if line.strip():
            try:
                yield _prompt(json.loads(line), f"{path}, line {number}")
            except json.JSONDecodeError as error:
                raise BadData(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno})") from error


def _json(path: Path) -> Iterator[str]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise BadData(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    if not isinstance(rows, list):
        raise BadData(f"{path}: expected a list of rows, found a {type(rows).__name__}")
    for number, row in enumerate(rows, start=1):
        yield _prompt(row, f"{path}, row {number}")


def _prompt(row: Any, where: str) -> str:
    if isinstance(row, str) and row.strip():
        return row
    for column in COLUMNS if isinstance(row, dict) else ():
        if isinstance(row.get(column), str) and row[column].strip():
            return str(row[column])
    found = ", ".join(map(repr, row)) if isinstance(row, dict) else type(row).__name__
    raise BadData(f"{where}: expected a text in one of {', '.join(COLUMNS)}, found {found or 'nothing'}")
