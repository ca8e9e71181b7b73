"""How the numbers of a rewinding are written for people."""

from __future__ import annotations

from holdfast.core.rewinding import Rewinding
from holdfast.metrics.interval import Interval
from holdfast.metrics.operating_point.finding import Finding
from holdfast.report.wording import base_name, measured, number, signed, span


def finding(found: Rewinding, subject: str, quantity: str) -> Finding:
    """What was found of a subject, from the records of a rewinding."""
    for record in found.records:
        if (record.subject, record.quantity) == (subject, quantity):
            return Finding(record.value, Interval(*record.spread) if record.spread else None, record.reason)
    return Finding(None, None, "not recorded")


def told(found: Finding) -> str:
    """A number with its interval, or why there is none."""
    if found.value is None:
        return found.reason or "not measured"
    return measured(found.value, found.spread)


def told_signed(found: Finding) -> str:
    """A difference with its sign and its interval, or why there is none."""
    if found.value is None:
        return found.reason or "not measured"
    between = found.spread if found.spread and found.spread[0] != found.spread[1] else None
    return signed(found.value) if between is None else f"{signed(found.value)} {span(between)}"


def told_percent(found: Finding) -> str | None:
    """A share in percent with its interval; nothing where it is not defined."""
    if found.value is None:
        return None
    middle = _percent(found.value)
    if found.spread is None or found.spread.low == found.spread.high:
        return f"{middle}%"
    return f"{middle}% [{_percent(found.spread.low)}, {_percent(found.spread.high)}]"


def turned(found: Finding) -> Finding:
    """The same with the other sign: by what forgetting changes when so much of it is undone."""
    if found.value is None or found.spread is None:
        return Finding(None if found.value is None else -found.value, None, found.reason)
    return Finding(-found.value, type(found.spread)(-found.spread.high, -found.spread.low))


def place(t: float) -> str:
    """A point of a path, as it is written for ``--at``."""
    return f"{t:g}"


def checkpoint(found: Rewinding) -> str:
    """The finished checkpoint by the end of its name."""
    return base_name(found.tuned)


def _percent(share: float) -> str:
    return number(100 * share, 0)
