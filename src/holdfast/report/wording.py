"""How numbers, units and names are written for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import PurePosixPath, PureWindowsPath

from holdfast.metrics.interval import Interval
from holdfast.report.comparison import Comparison, PointResult, Span

NONE = "\N{EN DASH}"
"""Stands where there is no number."""

CHANGES = {"frac": "in scores from 0 to 1", "nats/token": "in nats per token"}
SCORES = {"frac": "mean score, 0 to 1", "nats/token": "log-likelihood, nats per token"}


def number(value: float, digits: int = 3) -> str:
    """A number to so many places, without a minus before zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float, digits: int = 3) -> str:
    """A difference: with its sign, unless it is zero."""
    text = number(value, digits)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def span(interval: Span) -> str:
    """An interval."""
    return f"[{number(interval[0])}, {number(interval[1])}]"


def measured(value: float | None, interval: Span | None) -> str:
    """A number with its interval, where there is one that is more than a point."""
    if value is None:
        return NONE
    return number(value) if interval is None or interval[0] == interval[1] else f"{number(value)} {span(interval)}"


def above_zero(interval: Span | None) -> bool:
    """Whether the whole interval lies above 0."""
    return interval is not None and Interval(*interval).excludes_zero and interval[0] > 0


def below_zero(interval: Span | None) -> bool:
    """Whether the whole interval lies below 0."""
    return interval is not None and Interval(*interval).excludes_zero and interval[1] < 0


def gap(frac: float) -> str:
    """Distance from the budget in percent; as a multiple of it where it is several times as large."""
    return f"{1 + frac:.1f}x" if frac >= 1 else f"{signed(100 * frac, 1)}%"


def sized(size: float) -> str:
    """A number of bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, "TiB"
    return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"


def p_value(p: float) -> str:
    """A p-value to three places."""
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names as a sentence lists them; of more than ``most`` the rest is counted."""
    shown = [*names] if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def quoted(tasks: Sequence[str]) -> str:
    """Names of tasks within a sentence, in which they might be taken for ordinary words."""
    return listed([f"\N{LEFT DOUBLE QUOTATION MARK}{task}\N{RIGHT DOUBLE QUOTATION MARK}" for task in tasks])


def sentence(text: str) -> str:
    """The same with a capital at its beginning and a full stop at its end."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def counted(count: int, noun: str) -> str:
    """A count with its noun, such as ``1 seed`` or ``3 seeds``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def scales(comparison: Comparison) -> str:
    """What gain and forgetting are measured in."""
    gain, forgetting = CHANGES[comparison.gain_unit], CHANGES[comparison.forgetting_unit]
    return f"Gain and forgetting are {gain}" if gain == forgetting else f"Gain is {gain}, forgetting {forgetting}"


def tries_of(point: PointResult) -> str:
    """How many learning rates were tried."""
    return "1 try" if point.tries == 1 else f"{point.tries} tries"


def base_name(base: str) -> str:
    """A base as people call it: its hub id, or the last part of its folder."""
    path = PureWindowsPath(base) if "\\" in base else PurePosixPath(base)
    return path.name if path.is_absolute() or base.startswith((".", "~")) else base


def divergence(point: PointResult) -> tuple[float, Span | None] | None:
    """Mean over texts of KL(base || entrant); the interval only where there is one text."""
    texts = [(t.kl_nats_per_token, t.kl_interval) for t in point.tasks if t.kl_nats_per_token is not None]
    if not texts:
        return None
    return sum(value for value, _ in texts) / len(texts), texts[0][1] if len(texts) == 1 else None


def markup(text: str) -> str:
    """The same for plotly, which takes some HTML for markup and leaves quotes alone."""
    return escape(text, quote=False)


def typeset(text: str) -> str:
    """The same with the signs of print: a minus before negative numbers, a cross after multiples."""
    return re.sub(r"(?<=\d)x\b", "\N{MULTIPLICATION SIGN}", re.sub(r"(?<![\w.-])-(?=\d)", "\N{MINUS SIGN}", text))
