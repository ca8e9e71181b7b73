"""Where on a path to look next: between the chosen point and a neighbour from which it can be told apart."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.metrics.operating_point.candidates import Candidate, Curve
from holdfast.metrics.operating_point.rules import OneStandardError, Rule


def next_point(
    candidates: Iterable[Candidate],
    rule: Rule | None = None,
    *,
    budget: int = 16,
    resolution_frac: float = 0.05,
) -> float | None:
    """The t to evaluate next, or nothing if the choice is settled or the budget spent.

    The gap between the chosen point and a neighbour is open if the rule tells the two apart by more than a paired
    standard error, and their steps differ by more than the resolution: a point inside could change the choice. Between
    points that cannot be told apart, a third could not be either. The widest open gap is halved in t; of equal ones the
    one nearer to the base.

    Args:
        candidates: What was evaluated so far; base and end are among them.
        rule: That will choose; `OneStandardError` if nothing else is asked for.
        budget: Most points to evaluate in all, base and end included.
        resolution_frac: A difference of relative steps that does not matter.

    Returns:
        A new t strictly between two known ones, or nothing.

    Raises:
        ValueError: If the resolution is not above 0: halving would have no end.
    """
    if not resolution_frac > 0:
        raise ValueError(f"a resolution is a relative step above 0, such as 0.05, found {resolution_frac}")
    rule, curve = rule or OneStandardError(), Curve.through(candidates)
    if len(curve.candidates) >= budget:
        return None
    place = rule.pick(curve)
    gaps = [(i, i + 1) for i in (place - 1, place) if 0 <= i < len(curve.candidates) - 1]
    widths = {gap: _width(curve, *gap) for gap in gaps if rule.apart(curve, *gap)}
    wide = [gap for gap in widths if widths[gap] > resolution_frac]
    if not wide:
        return None
    one, other = max(wide, key=lambda gap: widths[gap])
    return (curve.candidates[one].t + curve.candidates[other].t) / 2


def _width(curve: Curve, one: int, other: int) -> float:
    """How far apart two points are in relative step."""
    return abs(curve.candidates[other].step_frac - curve.candidates[one].step_frac)
