"""The table of a comparison, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from holdfast.report.comparison import Comparison, PointResult
from holdfast.report.wording import base_name, divergence, gap, listed, measured, number, scales, sized

GAIN, FORGETTING = "gain", "forgetting"
COLUMNS = ("", "parameters", "gap", "rate", GAIN, FORGETTING, "KL nats/token", "P(frontier)", "step", "stored")
KEPT_LONGEST = ("P(frontier)", "KL nats/token", "rate", "gap", "step", "stored", "parameters")
"""Columns beside name, gain and forgetting, in the order in which they are given room on a narrow terminal."""

BETWEEN = 2
"""Columns of a terminal between two columns of the table."""


@dataclass(frozen=True)
class TerminalTable:
    """A comparison that chooses its columns by the width of the terminal and never cuts a number.

    Attributes:
        comparison: What is shown.
    """

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, the table, and what the numbers mean."""
        points = ordered(self.comparison)
        rows = [dict(zip(COLUMNS, row(point), strict=True)) for point in points]
        shown = _fitting(rows, options.max_width)
        stacked = _width(rows, shown) > options.max_width
        table = Table(box=None, padding=(0, BETWEEN, 0, 0), header_style="bold", pad_edge=False)
        for column in shown:
            table.add_column(column, justify="right" if column else "left", no_wrap=bool(column), overflow="fold")
        for point, cells in zip(points, rows, strict=True):
            style = "bold" if point.on_frontier else "dim" if not point.ranked else ""
            texts = (cells[column].replace(" [", "\n[") if stacked else cells[column] for column in shown)
            table.add_row(*(Text(text, overflow="fold") for text in texts), style=style)
        yield Text(_title(self.comparison), style="italic")
        yield table
        yield Text(legend(self.comparison), style="dim")


def terminal_table(comparison: Comparison) -> TerminalTable:
    """The comparison as a table for a terminal; entrants on the frontier are bold, those not ranked are dim."""
    return TerminalTable(comparison)


def markdown_table(comparison: Comparison) -> str:
    """The comparison as a table in Markdown; columns that nobody fills are left out."""
    points = ordered(comparison)
    rows = [row(point) for point in points]
    filled = [i for i in range(len(COLUMNS)) if i == 0 or any(cells[i] for cells in rows)]
    lines = ["| " + " | ".join(COLUMNS[i] for i in filled) + " |", "|---|" + "---:|" * (len(filled) - 1)]
    for point, cells in zip(points, rows, strict=True):
        name, *rest = (cells[i].strip().replace("|", "\\|") for i in filled)
        lines.append("| " + " | ".join([f"**{name}**" if point.on_frontier else name, *rest]) + " |")
    return "\n".join(lines) + "\n"


def ordered(comparison: Comparison) -> list[PointResult]:
    """The base, then ranked entrants by falling gain, then the others, then those without a result."""
    base, *entrants = comparison.points
    return [base, *sorted(entrants, key=lambda p: (p.failure is not None, not p.ranked, -(p.gain or 0.0)))]


def row(point: PointResult) -> list[str]:
    """The cells of one entrant."""
    mark = "●" if point.on_frontier else " "
    apart = "" if point.ranked else " (failed)" if point.failure is not None else f" ({point.standing})"
    kl = divergence(point)
    return [
        f"{mark} {point.name}{apart}",
        f"{point.trainable_params:,}" if point.trainable_params else "",
        "" if point.budget_gap_frac is None else gap(point.budget_gap_frac),
        "" if point.learning_rate is None else f"{point.learning_rate:g}",
        measured(point.gain, point.gain_interval),
        measured(point.forgetting, point.forgetting_interval),
        "" if kl is None else number(kl[0]),
        "" if point.non_dominated_frac is None else number(point.non_dominated_frac, 2),
        "" if point.step_time_rel_lora is None else f"{point.step_time_rel_lora:.2f}x",
        "" if point.stored_bytes is None else sized(point.stored_bytes),
    ]


def legend(comparison: Comparison) -> str:
    """What the numbers of the table mean."""
    return (
        f"● on the frontier. {scales(comparison)}; forgetting above 0 is lost. "
        f"{comparison.level:.0%} intervals; budget {comparison.budget_params:,} parameters."
    )


def _fitting(rows: Sequence[dict[str, str]], width: int) -> list[str]:
    """The columns that fit, each as wide as its longest cell."""
    wanted = {"", GAIN, FORGETTING}
    for column in KEPT_LONGEST:
        if any(cells[column] for cells in rows) and _width(rows, wanted | {column}) <= width:
            wanted.add(column)
    return [column for column in COLUMNS if column in wanted]


def _width(rows: Sequence[dict[str, str]], columns: Iterable[str]) -> int:
    widest = (max(cell_len(text) for text in (column, *(cells[column] for cells in rows))) for column in columns)
    return sum(width + BETWEEN for width in widest)


def _title(comparison: Comparison) -> str:
    return f"{base_name(comparison.base)}: learn {listed(comparison.learn)}, keep {listed(comparison.headline)}"
