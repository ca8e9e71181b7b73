"""How far numbers move from order to order and from seed to seed."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual import SequenceRun
from holdfast.metrics.continual.formulas import backward_transfer_gem, final_accuracy, learning_accuracy
from holdfast.metrics.continual.metric import Metric
from holdfast.report.ledger import Cell, Column
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.columns import nature_of
from holdfast.report.sequence.ledger import Row, Table
from holdfast.report.sequence.phrases import order_text
from holdfast.report.wording import NONE, number, typeset

MOVING = (
    (final_accuracy, "final average"),
    (backward_transfer_gem, "backward transfer"),
    (learning_accuracy, "learning accuracy"),
)


def by_level(found: Analysed, each: Measured, metric: Metric, key: Callable[[SequenceRun], str]) -> dict[str, float]:
    """Order or seed -> mean of a metric over the runs that have it, where it is defined."""
    if found.unit is None:
        return {}
    scale = found.scores.scales[found.evidence.tasks[0]]
    groups: dict[str, list[float]] = {}
    for run in each.row.runs:
        try:
            value = metric(run.matrix, alone=run.ceiling)
        except NotMeasurable:
            return {}
        groups.setdefault(key(run), []).append(scale.back(value, nature_of(metric)))
    return {level: fmean(values) for level, values in groups.items()}


def spread_ledger(found: Analysed) -> Table | None:
    """Range of the main numbers over orders and over seeds; nothing where there is one of each, or no average."""
    keys: list[tuple[str, Callable[[SequenceRun], str]]] = []
    if found.orders > 1:
        keys.append(("orders", lambda run: order_text(run.order)))
    if found.seeds > 1:
        keys.append(("seeds", lambda run: f"seed {run.seed}"))
    if not keys or found.unit is None:
        return None
    columns = tuple(
        Column(title, f"largest minus smallest over {over}", first=not place)
        for _, title in MOVING
        for place, (over, _) in enumerate(keys)
    )
    rows = tuple(
        Row(each.name, "", tuple(_cell(by_level(found, each, metric, key)) for metric, _ in MOVING for _, key in keys))
        for each in found.sequences
    )
    return Table(columns, rows)


def _cell(levels: dict[str, float]) -> Cell:
    if len(levels) < 2:
        return Cell(NONE, (), None, "not defined, or only one was finished")
    low, high = min(levels.values()), max(levels.values())
    tip = "\n".join(f"{name}: {number(value)}" for name, value in levels.items())
    return Cell(number(high - low), (typeset(f"{number(low)} to {number(high)}"),), high - low, typeset(tip))
