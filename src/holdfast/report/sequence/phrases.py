"""How numbers of sequences, orders and units are put into words."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.report.sequence.numbers import Number
from holdfast.report.wording import NONE, number, signed, span

ARROW = " \N{RIGHTWARDS ARROW} "


def told(found: Number) -> str:
    """A level with its interval, or why there is none."""
    if found.value is None:
        return found.reason or NONE
    return f"{number(found.value)}{_within(found)}"


def told_signed(found: Number) -> str:
    """A difference with its interval, or why there is none."""
    if found.value is None:
        return found.reason or NONE
    return f"{signed(found.value)}{_within(found)}"


def brief(found: Number, *, with_sign: bool) -> str:
    """A number in a cell; a dash where there is none."""
    if found.value is None:
        return NONE
    return signed(found.value) if with_sign else number(found.value)


def between(found: Number) -> str:
    """The interval, where there is one that is more than a point."""
    return "" if found.spread is None or found.spread.low == found.spread.high else span(found.spread)


def covering(found: Number) -> str:
    """What an interval covers, as a line for the pointer."""
    if found.reason:
        return found.reason
    return f"interval over {' and '.join(found.covers)}" if found.covers else ""


def order_text(order: Sequence[str]) -> str:
    """Tasks in the order of their training."""
    return ARROW.join(order)


def _within(found: Number) -> str:
    interval = between(found)
    return f" {interval}" if interval else ""
