"""Scores of a sequence of trainings in a file: CSV from a spreadsheet, JSON with all that belongs to it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal

from pydantic import FiniteFloat, ValidationError

from holdfast.core.document import Document
from holdfast.core.errors import BadData
from holdfast.core.scores import Unit

Row = tuple[FiniteFloat | None, ...]


class AbilityScores(Document):
    """Scores of benchmarks that no stage trains.

    Attributes:
        names: What the benchmarks are called.
        scores: A row a stage, the first of the untouched base; none where missing.
        kind: What they are benchmarks of.
        unit: Of the scores.
    """

    names: tuple[str, ...]
    scores: tuple[Row, ...]
    kind: Literal["general", "instruction", "safety"] = "general"
    unit: Unit = "frac"


class SequenceScores(Document):
    """Scores of every task after every stage.

    Attributes:
        tasks: Names of the tasks in training order.
        scores: A row a stage, the first of the untouched base; none where missing.
        alone: What each task reaches outside the sequence.
        jointly: Whether that is by joint training, not each task alone.
        abilities: Scores of what no stage trains, at most one of each kind.
    """

    tasks: tuple[str, ...]
    scores: tuple[Row, ...]
    alone: Row | None = None
    jointly: bool = False
    abilities: tuple[AbilityScores, ...] = ()


def read_sequence_scores(file: Path) -> SequenceScores:
    """Scores of a sequence from a file.

    A CSV file has the names of the tasks in training order in its first line, and after it a line a stage, the first
    of the untouched base; an empty cell is missing. Any file whose name does not end in ``.json`` is read so.

    Args:
        file: CSV or JSON.

    Returns:
        The scores as they stand, whatever their range.

    Raises:
        BadData: If there is no such file or it holds something else; says in which line.
    """
    if file.suffix.lower() != ".json":
        names, rows = _table(file)
        return SequenceScores(tasks=names, scores=rows)
    try:
        return SequenceScores.model_validate_json(_text(file))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadData(
            f'{file} does not hold scores of a sequence, {{"tasks": [...], "scores": [[...], ...]}}: '
            f"{where or 'the whole'}: {first['msg']}"
        ) from error


def read_one_score_a_task(file: Path, tasks: tuple[str, ...]) -> Row:
    """One score for each task of a sequence from a file.

    Args:
        file: CSV with the names and one line of scores, or a JSON object from name to score; null is missing.
        tasks: Names of the tasks in training order.

    Returns:
        The scores in training order.

    Raises:
        BadData: If there is no such file, it holds something else, or other tasks.
    """
    if file.suffix.lower() == ".json":
        found = _object(file)
    else:
        names, rows = _table(file)
        if len(rows) != 1:
            raise BadData(f"{file}: one line of scores is needed below the names of the tasks, found {len(rows)}")
        if len(set(names)) != len(names):
            raise BadData(f"{file}: tasks need different names, found {', '.join(names)}")
        found = dict(zip(names, rows[0], strict=True))
    if set(found) != set(tasks):
        raise BadData(f"{file}: scores of {', '.join(tasks)} are needed, found those of {', '.join(found) or 'none'}")
    return tuple(found[task] for task in tasks)


def _object(file: Path) -> dict[str, float | None]:
    try:
        found = json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise BadData(f"{file}, line {error.lineno}: not JSON ({error.msg})") from error
    if not isinstance(found, dict) or not all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in found.values()
    ):
        raise BadData(f'{file} does not hold one score a task, {{"name": 0.5, ...}}')
    return found


def _table(file: Path) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    lines = csv.reader(_text(file).splitlines())
    names: tuple[str, ...] = ()
    rows: list[Row] = []
    for cells in lines:
        if not cells:
            continue
        where = f"{file}, line {lines.line_num}"
        if not names:
            names = tuple(cell.strip() for cell in cells)
            continue
        if len(cells) != len(names):
            raise BadData(
                f"{where}: {len(cells)} cells, and the first line names {len(names)} tasks with commas between"
            )
        rows.append(tuple(_score(cell.strip(), f"{where}, '{name}'") for cell, name in zip(cells, names, strict=True)))
    if not names:
        raise BadData(f"{file} is empty; the first line names the tasks in training order")
    return names, tuple(rows)


def _score(cell: str, where: str) -> float | None:
    if not cell:
        return None
    try:
        score = float(cell)
    except ValueError as error:
        raise BadData(f"{where}: '{cell}' is not a number; a line holds scores alone, empty where missing") from error
    if score - score != 0:
        raise BadData(f"{where}: '{cell}' is not finite; leave a cell empty where the score is missing")
    return score


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadData(f"there is no file {file}") from error
    except IsADirectoryError as error:
        raise BadData(f"{file} is a folder; a CSV or JSON file is needed") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is not text in UTF-8") from error
