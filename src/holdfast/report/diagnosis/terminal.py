"""The verdict and a short table, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from holdfast.core.diagnosis import Diagnosis
from holdfast.report.diagnosis.by_module import LEGEND, RANDOM, short_table
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.verdict import headline, verdict_of
from holdfast.report.short import below, opened


@dataclass(frozen=True)
class TerminalSummary:
    """A diagnosis that shows as many columns as the terminal has room for, and never cuts a number.

    Attributes:
        diagnosis: What is shown.
    """

    diagnosis: Diagnosis

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, verdict, table."""
        yield from opened(headline(self.diagnosis), verdict_of(self.diagnosis))
        found = short_table(Findings(self.diagnosis))
        if found is None:
            return
        yield below(found, options.max_width, ["dim" if row[0] == RANDOM else "" for row in found.rows])
        yield Text(LEGEND, style="dim")


def terminal_summary(diagnosis: Diagnosis) -> TerminalSummary:
    """The verdict and a table by module; the row of the random update is dim."""
    return TerminalSummary(diagnosis)
