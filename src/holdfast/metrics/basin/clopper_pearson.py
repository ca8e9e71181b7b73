"""Limits of a share from a number of trials that was fixed beforehand (Clopper and Pearson 1934).

Looked at again and again until they please, they are invalid; `sequential` has what may be looked at.
"""

from __future__ import annotations

from scipy import special

from holdfast.metrics.interval import check_level


def lower_limit(successes: int, n: int, level: float = 0.99) -> float:
    """What the share of successes exceeds, at the level; 0 if there was none.

    Args:
        successes: How many trials succeeded.
        n: Out of how many; directions, not items, where items share a direction.
        level: Share of repetitions in which such a limit lies below the truth, at least.
    """
    _check(successes, n, level)
    return float(special.betaincinv(successes, n - successes + 1, 1 - level)) if successes else 0.0


def upper_limit(successes: int, n: int, level: float = 0.99) -> float:
    """What the share of successes stays below, at the level; 1 if all succeeded."""
    _check(successes, n, level)
    return 1 - lower_limit(n - successes, n, level)


def _check(successes: int, n: int, level: float) -> None:
    check_level(level)
    if n < 1:
        raise ValueError("a share needs at least one trial, found none")
    if not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n, found {successes} of {n}")
