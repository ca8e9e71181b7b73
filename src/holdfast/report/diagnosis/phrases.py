"""How the numbers and places of a diagnosis are written for people."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.core.diagnosis import Site
from holdfast.core.record import Record
from holdfast.report.comparison import Span
from holdfast.report.wording import NONE, counted, listed

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: int) -> str:
    """A power of ten."""
    return "10" + str(exponent).translate(RAISED)


def brief(value: float) -> str:
    """A number to three digits that count: sizes of updates lie orders of magnitude apart."""
    if value == 0:
        return "0"
    size = abs(float(f"{value:.3g}"))
    if size < 0.001:
        digits, exponent = f"{value:.1e}".split("e")
        return f"{digits}e{int(exponent)}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 if size >= 1 else 3 if size >= 0.1 else 4}f}" if size < 10 else f"{value:.1f}"


def between(span: Span) -> str:
    """An interval."""
    return f"[{brief(span[0])}, {brief(span[1])}]"


def told(record: Record | None) -> str:
    """A number with its interval; a dash where there is none."""
    if record is None or record.value is None:
        return NONE
    return brief(record.value) if record.spread is None else f"{brief(record.value)} {between(record.spread)}"


def place(site: Site) -> str:
    """A site as people point at it, such as ``mlp.down_proj of block 18``."""
    return site.name if site.block is None else f"{site.module} of block {site.block}"


def blocks(numbers: Sequence[int]) -> str:
    """Neighbouring blocks, such as ``block 3`` or ``blocks 3 to 5``."""
    first, last = min(numbers), max(numbers)
    return f"block {first}" if first == last else f"blocks {first} to {last}"


def share(count: int, total: int, noun: str) -> str:
    """How many of how many, such as ``3 of 14 weights`` or ``all 14 weights``."""
    if total == 1:
        return f"the only {noun}"
    return f"all {counted(total, noun)}" if count == total else f"{count:,} of {counted(total, noun)}"


def several(names: Sequence[str], most: int = 4) -> str:
    """A few names, the rest counted."""
    return listed(names, most)
