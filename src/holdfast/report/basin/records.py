"""The numbers of a measurement as records, for scripts."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.basin import BasinCurve, BasinVerdict, BasinWidth
from holdfast.core.certificate import Certificate
from holdfast.core.record import Record
from holdfast.report.basin.compared import compared
from holdfast.report.basin.inputs import bearable
from holdfast.report.basin.phrases import sigma_text
from holdfast.report.basin.seen import Seen

NO_ENDS = "the width was not found"


def records_of(view: Seen, before: Seen | None = None) -> list[Record]:
    """All records; the site is the ability.

    Subjects are kinds of direction, such as ``random`` or ``toward tuned``, with the distance behind a slash for single
    points; fine-tunes; ``certificate n``; and ``input tokens`` or ``input embeddings`` with the amount.
    """
    found = view.measurement
    return [
        *(record for width in found.widths for record in _of_width(width)),
        *(record for curve in found.curves for record in _of_curve(view, curve)),
        *(record for each in found.verdicts for record in _of_verdict(each)),
        *(record for n, each in enumerate(found.certificates, start=1) for record in _of_certificate(n, each)),
        *_of_inputs(view),
        *([] if before is None else _of_pairs(before, view)),
    ]


def _of_width(width: BasinWidth) -> Iterator[Record]:
    ends = (width.low, width.high)
    spread = None if width.low is None or width.high is None else (width.low, width.high)
    reason = None if spread is not None else width.reason or NO_ENDS
    yield Record(
        subject="random", quantity="basin_width", site=width.ability, value=width.sigma, reason=reason, unit="sigma",
        spread=spread,
    )  # fmt: skip
    for quantity, end in zip(("basin_width_inside", "basin_width_outside"), ends, strict=True):
        why = None if end is not None else width.reason or NO_ENDS
        yield Record(
            subject="random", quantity=quantity, site=width.ability, value=end, reason=why, unit="sigma"
        )  # fmt: skip
    yield Record(subject="random", quantity="scored_items", site=width.ability, value=width.scored_items)


def _of_curve(view: Seen, curve: BasinCurve) -> Iterator[Record]:
    yield curve.soft_width
    yield curve.strict_width
    for level in curve.levels:
        subject = f"{curve.direction}/{sigma_text(level.sigma)}"
        yield Record(
            subject=subject, quantity="score", site=curve.ability, value=level.mean, unit="frac", spread=level.spread
        )
        yield Record(
            subject=subject, quantity="strict_share", site=curve.ability, value=level.strict_share, unit="frac"
        )
        yield Record(
            subject=subject, quantity="length", site=curve.ability, value=view.length(level.sigma), unit="norm"
        )


def _of_verdict(each: BasinVerdict) -> Iterator[Record]:
    yield each.drop
    if each.matched is not None:
        yield each.matched
    for quantity, value, unit in (("displacement", each.displacement, "norm"), ("displacement", each.sigma, "sigma")):
        yield Record(subject=each.tuned, quantity=quantity, site=each.ability, value=value, unit=unit)
    yield Record(subject=each.tuned, quantity="outside_basin", site=each.ability, **_outside(each))


def _outside(each: BasinVerdict) -> dict[str, float | str]:
    if each.verdict == "undecided":
        return {"reason": "not known: the distance lies within the interval of the width"}
    return {"value": float(each.verdict == "outside")}


def _of_certificate(number: int, each: Certificate) -> Iterator[Record]:
    subject = f"certificate {number}, {each.about}, {each.space}"
    yield Record(subject=subject, quantity="p_lower", site=each.ability, value=each.p_lower, unit="frac")
    why = None if each.radius is not None else f"p_lower is not above the {each.keep:.4g} to be kept"
    yield Record(subject=subject, quantity="radius", site=each.ability, value=each.radius, reason=why, unit="norm")
    for quantity, value in (("kept_strong", each.strong), ("kept_weak", each.weak), ("score_floor", each.score_floor)):
        if value is not None:
            yield Record(subject=subject, quantity=quantity, site=each.ability, value=value, unit="frac")
    yield Record(subject=subject, quantity="vacuous", site=each.ability, value=float(each.vacuous))


def _of_inputs(view: Seen) -> Iterator[Record]:
    for curve in view.measurement.inputs:
        yield bearable(curve, view.measurement.tolerance)
        for level in curve.levels:
            subject = f"input {curve.kind}/{sigma_text(level.amount)}"
            yield Record(
                subject=subject, quantity="score", site=curve.ability, value=level.mean, unit="frac",
                spread=level.spread,
            )  # fmt: skip


def _of_pairs(before: Seen, after: Seen) -> Iterator[Record]:
    for each in compared(before, after):
        found = each.ratio
        yield Record(
            subject="after against before", quantity="width_ratio", site=each.ability,
            value=None if found is None else found.value, reason=each.reason, unit="x",
            spread=None if found is None else found.spread,
        )  # fmt: skip
        for gap in each.gaps:
            yield Record(
                subject=f"after against before/{sigma_text(gap.sigma)}", quantity="kept_more", site=each.ability,
                value=gap.value, unit="frac", spread=gap.spread,
            )  # fmt: skip
