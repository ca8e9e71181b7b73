"""Rivals where they can be compared with the chosen point: as far from the base or at the same KL, not at equal t."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from holdfast.core.rewinding import Walk, WalkPoint
from holdfast.metrics.operating_point.finding import Finding
from holdfast.report.rewinding.held import Held, Items, Standing, items_of, mixed


@dataclass(frozen=True, eq=False)
class Crossing:
    """Where a path first comes as far as a point of another.

    Attributes:
        name: Of the path.
        before: The neighbour on the near side.
        after: The neighbour on the far side.
        share: How far from the one to the other.
        items: Scores there, on the straight line between the neighbours.
        reason: Why there is no such place; then all else is absent.
    """

    name: str
    before: WalkPoint | None = None
    after: WalkPoint | None = None
    share: float = 0.0
    items: Items | None = None
    reason: str = ""

    @property
    def t(self) -> float | None:
        """Where on its path."""
        if self.before is None or self.after is None:
            return None
        return self.before.t + self.share * (self.after.t - self.before.t)


@dataclass(frozen=True, eq=False)
class Match:
    """A rival at the place where it is compared with the chosen point.

    Attributes:
        crossing: Where it is.
        standing: Its scores; absent where there is no such place.
        lead: Its target score minus that of the chosen point.
        lost: Its forgetting minus that of the chosen point.
    """

    crossing: Crossing
    standing: Standing | None = None
    lead: Finding | None = None
    lost: Finding | None = None


def crossed(
    walks: Mapping[str, Walk], far: Callable[[WalkPoint], float | None], chosen: WalkPoint
) -> tuple[Crossing, ...]:
    """Where each of some paths first is as far as the chosen point.

    Args:
        walks: The paths under their names.
        far: How far a point is, such as its relative step; absent where that was not measured.
        chosen: The point with which they are compared.
    """
    at = far(chosen)
    return tuple(_crossed(name, walk, far, at) for name, walk in walks.items()) if at is not None else ()


def matched(held: Held, chosen: str, measure: str, crossings: Sequence[Crossing]) -> tuple[Match, ...]:
    """The rivals at their crossings, against the chosen point.

    Args:
        held: All points; that of crossing number n is there as ``<measure> n``.
        chosen: Label of the chosen point.
        measure: By which they were matched.
        crossings: Where.
    """
    found = []
    for number, crossing in enumerate(crossings):
        label = f"{measure} {number}"
        if crossing.items is None:
            found.append(Match(crossing))
        else:
            standing = held.standing(label)
            found.append(Match(crossing, standing, held.lead(label, chosen), held.lost(label, chosen)))
    return tuple(found)


def _crossed(name: str, walk: Walk, far: Callable[[WalkPoint], float | None], at: float) -> Crossing:
    reached = [(point, far(point)) for point in sorted(walk.points, key=lambda point: point.t)]
    known = [(point, value) for point, value in reached if value is not None]
    for (before, near), (after, beyond) in pairwise(known):
        if min(near, beyond) <= at <= max(near, beyond):
            share = (at - near) / (beyond - near) if beyond != near else 0.0
            return Crossing(name, before, after, share, mixed(items_of(before.scores), items_of(after.scores), share))
    if not known:
        return Crossing(name, reason="not measured on this path")
    return Crossing(name, reason=f"this path never comes there: at most {max(value for _, value in known):.3f}")
