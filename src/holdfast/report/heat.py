"""The table of entrants against tasks: what changed where, as numbers on colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison, PointResult, TaskResult
from holdfast.report.palette import BETTER, DISTANCE, WHITE, WORSE, tinted
from holdfast.report.table import ordered
from holdfast.report.wording import NONE, above_zero, below_zero, number, signed, span, typeset

KL = "KL"
GROUPS = {
    ("learn", "frac"): "to be learned",
    ("keep", "frac"): "to be kept",
    ("learn", "nats/token"): "to be learned, nats/token",
    ("keep", "nats/token"): "to be kept, nats/token",
    ("keep", KL): "KL from base, nats/token",
}


@dataclass(frozen=True)
class HeatColumn:
    """A task, or the divergence on it.

    Attributes:
        task: Its name.
        role: ``learn`` or ``keep``.
        scale: What its colours are shared with: ``frac``, ``nats/token``, ``KL``.
        first: Whether a group begins with it.
    """

    task: str
    role: str
    scale: str
    first: bool = False


@dataclass(frozen=True)
class HeatCell:
    """One number.

    Attributes:
        text: The number.
        tip: All that is known about it.
        background: Its colour.
        certain: Whether its interval leaves out 0.
        first: Whether a group begins with it.
    """

    text: str
    tip: str
    background: str
    certain: bool
    first: bool = False


@dataclass(frozen=True)
class HeatRow:
    """One entrant; the base shows its scores, everybody else changes.

    Attributes:
        name: Whose.
        cells: One a column; none for an entrant without a result.
        failure: Why there is no result, if there is none.
    """

    name: str
    cells: tuple[HeatCell, ...]
    failure: str | None = None


@dataclass(frozen=True)
class Heat:
    """The table.

    Attributes:
        groups: Heading of each group of columns with the number of its columns.
        columns: The columns.
        rows: The base, then the entrants.
    """

    groups: tuple[tuple[str, int], ...]
    columns: tuple[HeatColumn, ...]
    rows: tuple[HeatRow, ...]


def heat_of(comparison: Comparison) -> Heat:
    """The table of all points, in the order of ``table.ordered``."""
    points = ordered(comparison)
    columns = _columns(comparison)
    extents = {scale: _extent(points, scale) for scale in ("frac", "nats/token", KL)}
    rows = []
    for point in points:
        tasks = {task.task: task for task in point.tasks}
        cells = () if point.failure else tuple(_cell(tasks[c.task], c, point, extents[c.scale]) for c in columns)
        rows.append(HeatRow(point.name, cells, point.failure))
    grouped = groupby(columns, key=lambda column: (column.role, column.scale))
    return Heat(tuple((GROUPS[key], len(list(found))) for key, found in grouped), columns, tuple(rows))


def _columns(comparison: Comparison) -> tuple[HeatColumn, ...]:
    tasks = comparison.point(BASE).tasks
    kl = [t.task for t in tasks if any(_kl(point, t.task) is not None for point in comparison.points)]
    wanted = [(t.task, t.role, t.unit) for role in ("learn", "keep") for t in tasks if t.role == role]
    wanted.sort(key=lambda column: (column[1] == "keep", column[2] != "frac"))
    wanted += [(task, "keep", KL) for task in kl]
    before = [("", "", ""), *wanted][: len(wanted)]
    return tuple(
        HeatColumn(task, role, scale, first=(role, scale) != past[1:])
        for (task, role, scale), past in zip(wanted, before, strict=True)
    )


def _kl(point: PointResult, task: str) -> float | None:
    return next((found.kl_nats_per_token for found in point.tasks if found.task == task), None)


def _extent(points: Sequence[PointResult], scale: str) -> float:
    """The largest change, at which the colour is full."""
    tasks = [task for point in points for task in point.tasks]
    if scale == KL:
        return max((task.kl_nats_per_token or 0.0 for task in tasks), default=0.0)
    return max((abs(task.change) for task in tasks if task.unit == scale), default=0.0)


def _cell(task: TaskResult, column: HeatColumn, point: PointResult, extent: float) -> HeatCell:
    if point.name == BASE:
        text = NONE if column.scale == KL else number(task.score)
        tip = f"{task.task}: the untouched base scores {number(task.score)}" + _chance(task)
        return HeatCell(typeset(text), typeset(tip), WHITE, False, column.first)
    if column.scale == KL:
        return _kl_cell(task, column, point, extent)
    background = tinted(abs(task.change) / extent if extent else 0.0, BETTER if task.change > 0 else WORSE)
    certain = above_zero(task.change_interval) or below_zero(task.change_interval)
    lines = [
        f"{point.name} on {task.task}",
        f"change {signed(task.change)} {span(task.change_interval)}{_unit(task)}",
        f"score {number(task.score)}{_chance(task)}",
    ]
    if task.retention_frac is not None:
        lines.append(f"{task.retention_frac:.0%} of the base's skill above chance is left")
    if task.truncated_frac:
        lines.append(f"{task.truncated_frac:.0%} of the answers ran into the token limit")
    if not certain:
        lines.append("the interval includes 0")
    return HeatCell(typeset(signed(task.change)), typeset("\n".join(lines)), background, certain, column.first)


def _kl_cell(task: TaskResult, column: HeatColumn, point: PointResult, extent: float) -> HeatCell:
    value = task.kl_nats_per_token
    if value is None:
        return HeatCell(NONE, f"{point.name} on {task.task}: KL was not measured", WHITE, False, column.first)
    background = tinted(value / extent if extent else 0.0, DISTANCE)
    interval = f" {span(task.kl_interval)}" if task.kl_interval else ""
    tip = f"{point.name} on {task.task}\nKL(base || {point.name}) {number(value)}{interval} nats/token"
    return HeatCell(number(value), typeset(tip), background, True, column.first)


def _unit(task: TaskResult) -> str:
    return "" if task.unit == "frac" else f" {task.unit}"


def _chance(task: TaskResult) -> str:
    return f"; guessing scores {number(task.chance_frac, 2)}" if task.chance_frac else ""
