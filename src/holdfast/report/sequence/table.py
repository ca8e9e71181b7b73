"""The short table of sequences, in Markdown and on a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from holdfast.metrics.tradeoff import BASE
from holdfast.report.sequence.analysis import Analysed
from holdfast.report.sequence.caveats import caveats
from holdfast.report.sequence.failures import failures
from holdfast.report.sequence.ledger import number_columns
from holdfast.report.sequence.phrases import between, brief
from holdfast.report.sequence.standing import standing_of
from holdfast.report.sequence.verdict import headline, verdict
from holdfast.report.short import ShortTable, below, itemised, markdown, opened


@dataclass(frozen=True)
class TerminalTable:
    """Sequences that show as many columns as the terminal has room for, and never cut a number.

    Attributes:
        found: What is shown.
    """

    found: Analysed

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Who forgets least, why, what to mind, the table."""
        yield from opened(headline(self.found), verdict(self.found), caveats(self.found))
        yield below(short_table(self.found), options.max_width, _styles(self.found))
        yield Text(legend(self.found), style="dim")


def terminal_table(found: Analysed) -> TerminalTable:
    """The sequences as a table for a terminal; who forgets least is bold, what is no sequence dim."""
    return TerminalTable(found)


def short_table(found: Analysed) -> ShortTable:
    """A row an entrant; numbers with their intervals."""
    columns = number_columns(found)
    units = [
        f" ({column.hint.rsplit(', ', 1)[1]})" if name.startswith("abilities") else "" for name, column, _ in columns
    ]
    heads = [f"{column.title}{unit}" for (_, column, _), unit in zip(columns, units, strict=True)]
    rows = [
        (
            "untouched base" if each.name == BASE else each.name,
            *(
                f"{brief(each.numbers[name], with_sign=signed)} {between(each.numbers[name])}".strip()
                for name, _, signed in columns
            ),
        )
        for each in found.rows
    ]
    return ShortTable(("entrant", *heads), tuple(rows))


def legend(found: Analysed) -> str:
    """What the numbers of the table mean."""
    words = "; ".join(f"{column.title}: {column.hint}" for _, column, _ in number_columns(found))
    return f"{found.level:.0%} intervals over items, orders and seeds, as far as there are several. {words}."


def sequence_summary(found: Analysed) -> str:
    """Verdict, table, what to mind, failures, and how to make the report anew, in Markdown."""
    care = caveats(found)
    broken = [f"{name}: {reason}" for name, reason in failures(found.evidence)]
    blocks = [
        f"# {headline(found)}",
        itemised(verdict(found)),
        markdown(short_table(found)),
        legend(found),
        *(["## Read with care", itemised(care)] if care else []),
        *(["## Broken off", itemised(broken)] if broken else []),
        "## Make it anew",
        "In this folder, without a model and without measuring anything again:",
        "```\nholdfast report .\n```",
    ]
    return "\n\n".join(blocks) + "\n"


def _styles(found: Analysed) -> list[str]:
    standing = standing_of(found)
    best = standing.best.name if standing is not None else None
    return ["bold" if each.name == best else "" if each.row.in_sequence else "dim" for each in found.rows]
