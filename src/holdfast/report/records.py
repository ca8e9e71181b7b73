"""The numbers of a comparison as records: for scripts, and to compare two runs of the same recipe."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.core.record import Record
from holdfast.metrics.tradeoff import FORGETTING, GAIN
from holdfast.report.comparison import Comparison, PointResult, RewoundResult


def records_of(comparison: Comparison) -> list[Record]:
    """All records, without costs: the same recipe gives the same records.

    ``gain_over_seeds`` and ``forgetting_over_seeds`` repeat the value with the t-interval over seeds as their spread.
    """
    return [record for point in comparison.points for record in _of_point(point, comparison)]


def _of_point(point: PointResult, comparison: Comparison) -> Iterable[Record]:
    for quantity, unit in ((GAIN, comparison.gain_unit), (FORGETTING, comparison.forgetting_unit)):
        value = getattr(point, quantity)
        reason = point.failure if value is None else None
        spread, over_seeds = getattr(point, f"{quantity}_interval"), getattr(point, f"{quantity}_seed_interval")
        yield Record(subject=point.name, quantity=quantity, value=value, reason=reason, unit=unit, spread=spread)
        if over_seeds is not None:
            name = f"{quantity}_over_seeds"
            yield Record(subject=point.name, quantity=name, value=value, unit=unit, spread=over_seeds)
    if point.rewound is not None:
        yield from _rewound(point.name, point.rewound, comparison)
    for task in point.tasks:
        yield Record(
            subject=point.name,
            quantity="change",
            site=task.task,
            value=task.change,
            unit=task.unit,
            spread=task.change_interval,
        )
        if task.kl_nats_per_token is not None:
            yield Record(
                subject=point.name,
                quantity="kl_from_base",
                site=task.task,
                value=task.kl_nats_per_token,
                unit="nats/token",
                spread=task.kl_interval,
            )


def _rewound(name: str, found: RewoundResult, comparison: Comparison) -> Iterable[Record]:
    lost = comparison.forgetting_unit
    yield Record(subject=name, quantity="rewound_step", value=found.step_frac, unit="frac")
    for quantity, unit in ((GAIN, comparison.gain_unit), (FORGETTING, lost), ("undone", lost)):
        value, spread = getattr(found, quantity), getattr(found, f"{quantity}_interval")
        yield Record(subject=name, quantity=f"rewound_{quantity}", value=value, unit=unit, spread=spread)
