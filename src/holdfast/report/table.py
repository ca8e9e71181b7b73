"""The table of a comparison, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from holdfast.report.comparison import Comparison, PointResult, Span

COLUMNS = (
    "",
    "parameters",
    "gap",
    "rate",
    "gain",
    "forgetting",
    "KL nats/token",
    "P(frontier)",
    "step",
    "stored",
)


def terminal_table(comparison: Comparison) -> Table:
    """The comparison as a table for a terminal; entrants on the frontier are bold, those not ranked are dim."""
    table = Table(title=_title(comparison), title_justify="left", caption=_legend(comparison), caption_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for point in ordered(comparison):
        style = "bold" if point.on_frontier else "dim" if not point.ranked else ""
        table.add_row(*row(point), style=style)
    return table


def markdown_table(comparison: Comparison) -> str:
    """The comparison as a table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" + "---:|" * (len(COLUMNS) - 1)]
    for point in ordered(comparison):
        cells = row(point)
        name = f"**{cells[0]}**" if point.on_frontier else cells[0]
        lines.append("| " + " | ".join([name, *cells[1:]]) + " |")
    return "\n".join(lines) + "\n"


def ordered(comparison: Comparison) -> list[PointResult]:
    """The base, then ranked entrants by falling gain, then the others."""
    base, *entrants = comparison.points
    return [base, *sorted(entrants, key=lambda p: (not p.ranked, -(p.gain if p.gain is not None else -1e9)))]


def row(point: PointResult) -> list[str]:
    """The cells of one entrant."""
    mark = "●" if point.on_frontier else " "
    apart = "" if point.ranked else f" ({point.standing})" if point.failure is None else " (failed)"
    kl = next((task.kl_nats_per_token for task in point.tasks if task.kl_nats_per_token is not None), None)
    return [
        f"{mark} {point.name}{apart}",
        f"{point.trainable_params:,}" if point.trainable_params else "",
        "" if point.budget_gap_frac is None else f"{point.budget_gap_frac:+.1%}",
        "" if point.learning_rate is None else f"{point.learning_rate:g}",
        measured(point.gain, point.gain_interval),
        measured(point.forgetting, point.forgetting_interval),
        "" if kl is None else f"{kl:.3f}",
        "" if point.non_dominated_frac is None else f"{point.non_dominated_frac:.2f}",
        "" if point.step_time_rel_lora is None else f"{point.step_time_rel_lora:.2f}x",
        "" if point.stored_bytes is None else sized(point.stored_bytes),
    ]


def measured(value: float | None, interval: Span | None) -> str:
    """A number with its interval."""
    if value is None:
        return "-"
    if interval is None or interval == (0.0, 0.0):
        return f"{value:.3f}"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def sized(size: float) -> str:
    """A number of bytes in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def named(tasks: Sequence[str]) -> str:
    """Names of tasks in one line."""
    return ", ".join(tasks)


def _title(comparison: Comparison) -> str:
    return f"{comparison.base}: learn {named(comparison.learn)}, keep {named(comparison.headline)}"


def _legend(comparison: Comparison) -> str:
    return (
        f"● on the frontier; gain in {comparison.gain_unit}, forgetting in {comparison.forgetting_unit} "
        f"(above 0 is lost); {comparison.level:.0%} intervals; budget {comparison.budget_params:,} parameters"
    )
