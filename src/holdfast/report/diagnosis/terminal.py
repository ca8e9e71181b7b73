"""The verdict and a short table, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.core.diagnosis import Diagnosis
from holdfast.report.diagnosis.by_module import LEGEND, RANDOM, ShortTable, short_table
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.verdict import headline, verdict_of

BETWEEN = 2
"""Columns of a terminal between two columns of the table."""


@dataclass(frozen=True)
class TerminalSummary:
    """A diagnosis that shows as many columns as the terminal has room for, and never cuts a number.

    Attributes:
        diagnosis: What is shown.
    """

    diagnosis: Diagnosis

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, verdict, table."""
        yield Text(headline(self.diagnosis), style="bold")
        for line in verdict_of(self.diagnosis):
            bullet = Table.grid(padding=(0, 1))
            bullet.add_row("\N{BULLET}", Text(line))
            yield bullet
        found = short_table(Findings(self.diagnosis))
        if found is None:
            return
        shown = _fitting(found, options.max_width)
        table = Table(box=None, padding=(0, BETWEEN, 0, 0), header_style="bold", pad_edge=False)
        for number in shown:
            table.add_column(
                found.columns[number], justify="right" if number else "left", no_wrap=number > 0, overflow="fold"
            )
        for row in found.rows:
            style = "dim" if row[0] == RANDOM else ""
            table.add_row(*(Text(row[number], overflow="fold") for number in shown), style=style)
        yield Padding(table, (1, 0, 0, 0))
        yield Text(LEGEND, style="dim")


def terminal_summary(diagnosis: Diagnosis) -> TerminalSummary:
    """The verdict and a table by module; the row of the random update is dim."""
    return TerminalSummary(diagnosis)


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
