"""How distances, losses and shares are written for people."""

from __future__ import annotations

from holdfast.core.basin import BasinWidth
from holdfast.core.record import Record
from holdfast.report.wording import NONE, measured, number, span


def sigma_text(value: float) -> str:
    """A distance or a length, to three digits at least."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def width_text(width: BasinWidth) -> str:
    """Between which distances a width lies; what is known of it where an end is missing."""
    if width.low is not None and width.high is not None:
        return f"{sigma_text(width.low)} to {sigma_text(width.high)}"
    if width.low is not None:
        return f"above {sigma_text(width.low)}"
    return NONE if width.high is None else f"below {sigma_text(width.high)}"


def within_text(width: BasinWidth) -> str:
    """The same within a sentence."""
    if width.low is not None and width.high is not None:
        return f"between sigma {sigma_text(width.low)} and {sigma_text(width.high)}"
    if width.low is not None:
        return f"above sigma {sigma_text(width.low)}"
    return "at a distance that was not found" if width.high is None else f"below sigma {sigma_text(width.high)}"


def interval_text(record: Record) -> str:
    """The interval of a number, where there is one that is more than a point."""
    return "" if record.spread is None or record.spread[0] == record.spread[1] else span(record.spread)


def is_narrower(width: Record) -> bool:
    """Whether a width that was read off a curve lies before its first distance, and not beyond its last."""
    return width.value is None and (width.reason or "").startswith("narrower")


def told(record: Record) -> str:
    """A number with its interval, or why there is none."""
    return measured(record.value, record.spread) if record.value is not None else record.reason or NONE


def share_text(frac: float) -> str:
    """A share in percent, to as many places as tell it from nothing and from all."""
    percent = 100 * frac
    if percent in (0.0, 100.0):
        return f"{percent:.0f}%"
    digits = 2 if percent < 1 or percent > 99 else 1 if percent < 10 else 0
    return f"{number(percent, digits)}%"
