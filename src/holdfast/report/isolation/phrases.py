"""How shares and their spread over seeds are written."""

from __future__ import annotations

from holdfast.report.isolation.readings import Over


def percent(frac: float) -> str:
    """A share in percent, to two digits that count, and never rounded to none or all unless it is."""
    value = 100 * frac
    if value in {0, 100}:
        return f"{value:.0f}%"
    if value < 0.01:
        return "under 0.01%"
    if value >= 99.95:
        return "over 99.9%"
    return f"{value:.{0 if 9.95 <= value < 99.5 else 2 if value < 0.995 else 1}f}%"


def spread(found: Over) -> str:
    """A share with the least and the largest of several seeds, where they differ."""
    low, high = map(percent, found.ends)
    return percent(found.mean) + ("" if low == high else f" ({low} to {high} over {found.seeds} seeds)")
