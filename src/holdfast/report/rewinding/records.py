"""The numbers of a rewinding as records, for scripts."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.record import Record
from holdfast.metrics.operating_point.finding import Finding
from holdfast.report.rewinding.phrases import place
from holdfast.report.rewinding.ways import Place, Rewound, Way


def records_of(view: Rewound) -> list[Record]:
    """What was recorded by the search, and gain, forgetting, step and KL of every point of every path.

    Subjects of points are ``path/t``; the change on a task stands under its name as the site.
    """
    points = [record for way in view.ways for each in way.places for record in _of_place(view, way, each)]
    return [*view.found.records, *points, *_of_test(view)]


def _of_place(view: Rewound, way: Way, each: Place) -> Iterator[Record]:
    subject, standing = f"{way.name}/{place(each.t)}", each.standing
    yield Record(subject=subject, quantity="step_frac", value=each.step_frac, unit="frac")
    if each.kl_nats is not None:
        yield Record(subject=subject, quantity="kl_from_base", value=each.kl_nats, unit="nats/token")
    yield _record(subject, "gain", standing.gain, view.held.target_unit)
    yield _record(subject, "forgetting", standing.forgetting, view.held.kept_unit)
    for task, change in standing.changes.items():
        yield _record(subject, "change", change, view.held.units[task], task)


def _of_test(view: Rewound) -> Iterator[Record]:
    if view.tested is None:
        return
    for subject, standing in (("chosen/test", view.tested.chosen), ("final/test", view.tested.final)):
        yield _record(subject, "gain", standing.gain, view.tested.held.target_unit)
        yield _record(subject, "forgetting", standing.forgetting, view.tested.held.kept_unit)


def _record(subject: str, quantity: str, found: Finding, unit: str, site: str = "") -> Record:
    reason = None if found.value is not None else found.reason or "not measured"
    return Record(
        subject=subject, quantity=quantity, site=site, value=found.value, reason=reason, unit=unit, spread=found.spread
    )
