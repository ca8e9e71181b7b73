"""A short table and a few lines of words, in Markdown and on a terminal that may be narrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

BETWEEN = 2
"""Columns of a terminal between two columns of the table."""


@dataclass(frozen=True)
class ShortTable:
    """The table.

    Attributes:
        columns: Titles, the name of the row first, then by weight.
        rows: Cells of each row, as text; empty where there is no number.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def markdown(table: ShortTable) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|---|" + "---:|" * (len(table.columns) - 1)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table.rows]
    return "\n".join(lines)


def itemised(lines: Iterable[str]) -> str:
    """Lines as a list in Markdown."""
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def bulleted(lines: Iterable[str]) -> list[Table]:
    """Lines as a list on a terminal."""
    bullets = []
    for line in lines:
        bullet = Table.grid(padding=(0, 1))
        bullet.add_row("\N{BULLET}", Text(line))
        bullets.append(bullet)
    return bullets


def opened(title: str, lines: Iterable[str], care: Iterable[str] = ()) -> Iterator[RenderableType]:
    """How a report begins on a terminal: its title, what was found, and, pale, what must be minded."""
    yield Text(title, style="bold")
    yield from bulleted(lines)
    for line in care:
        yield Padding(Text(line, style="dim"), (0, 0, 0, 2))


def below(found: ShortTable, width: int, styles: Sequence[str]) -> Padding:
    """A table that is fitted, with a blank line above it; takes what ``fitted`` takes."""
    return Padding(fitted(found, width, styles), (1, 0, 0, 0))


def fitted(found: ShortTable, width: int, styles: Sequence[str]) -> Table:
    """As many columns of a table as a terminal has room for, the first ones, without cutting a number.

    Args:
        found: The table.
        width: Of the terminal.
        styles: Style of each row, for rich.
    """
    shown = _fitting(found, width)
    table = Table(box=None, padding=(0, BETWEEN, 0, 0), header_style="bold", pad_edge=False)
    for number in shown:
        justify = "right" if number else "left"
        table.add_column(found.columns[number], justify=justify, no_wrap=number > 0, overflow="fold")  # type: ignore[arg-type]
    for row, style in zip(found.rows, styles, strict=True):
        table.add_row(*(Text(row[number], overflow="fold") for number in shown), style=style)
    return table


def _fitting(table: ShortTable, width: int) -> list[int]:
    """Numbers of the columns that fit, the weightiest first."""
    shown, used = [0], 0
    for number in range(len(table.columns)):
        widest = max(cell_len(text) for text in (table.columns[number], *(row[number] for row in table.rows)))
        used += widest + BETWEEN
        if number and used <= width:
            shown.append(number)
        elif number:
            break
    return shown
