"""The paths of a rewinding with all their points, and the finished checkpoint and the chosen point among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from holdfast.core.rewinding import CHOSEN, FINAL, Rewinding, Walk, WalkPoint
from holdfast.metrics.operating_point.candidates import STEP_SLACK
from holdfast.metrics.tradeoff import BASE
from holdfast.report.rewinding.held import Held, Standing, items_of
from holdfast.report.rewinding.matched import Match, crossed, matched
from holdfast.report.rewinding.phrases import finding
from holdfast.report.rewinding.tested import Tested, tested

TRAJECTORY = "training trajectory"


@dataclass(frozen=True)
class Place:
    """A point of a path.

    Attributes:
        label: Its name among the points of all paths.
        t: Where on the path.
        step_frac: How far from the base, as a share of the whole way.
        kl_nats: KL(base || point) in nats a token, where it was measured.
        training_step: The optimizer step of a saved checkpoint.
        standing: Its scores; those of the base are all paths' first.
    """

    label: str
    t: float
    step_frac: float
    kl_nats: float | None
    training_step: int | None
    standing: Standing

    @property
    def beyond(self) -> bool:
        """Whether it lies farther from the base than the end, so that it takes no part in a choice."""
        return self.step_frac > 1 + STEP_SLACK


@dataclass(frozen=True)
class Way:
    """A path.

    Attributes:
        name: As people call it.
        places: Its points, the base first.
        evaluations: How many points were scored.
    """

    name: str
    places: tuple[Place, ...]
    evaluations: int


@dataclass(frozen=True)
class Rewound:
    """A rewinding, ready to be told.

    Attributes:
        found: What was found.
        held: All points against the base.
        ways: The paths; the first is the one on which the point was chosen.
        by_step: The rivals as far from the base as the chosen point; none where that is the base or the end.
        by_kl: The rivals at the KL of the chosen point; the same.
        tested: Scores on test items, where there are any.
    """

    found: Rewinding
    held: Held
    ways: tuple[Way, ...]
    by_step: tuple[Match, ...]
    by_kl: tuple[Match, ...]
    tested: Tested | None

    @property
    def base(self) -> Place:
        """The base."""
        return self.ways[0].places[0]

    @property
    def chosen(self) -> Place:
        """The chosen point."""
        return next(place for place in self.ways[0].places if place.t == self.found.t)

    @property
    def final(self) -> Place:
        """The finished checkpoint."""
        return self.ways[0].places[-1]

    @property
    def inside(self) -> bool:
        """Whether the chosen point lies between the base and the end."""
        return 0 < self.found.t < self.final.t


def rewound(found: Rewinding) -> Rewound:
    """All points of all paths against the base, and the rivals where they can be compared."""
    walks = (found.walk, *found.rivals)
    names = [_named(walk) for walk in walks]
    rivals = dict(zip(names[1:], walks[1:], strict=True))
    points = {_label(number, point): point for number, walk in enumerate(walks) for point in walk.points if point.t}
    inside = 0 < found.t < found.walk.points[-1].t
    steps = crossed(rivals, lambda point: point.step_frac, found.chosen) if inside else ()
    kls = crossed(rivals, lambda point: point.kl_nats, found.chosen) if inside else ()
    items = {label: items_of(point.scores) for label, point in points.items()}
    items |= {f"step {n}": each.items for n, each in enumerate(steps) if each.items is not None}
    items |= {f"KL {n}": each.items for n, each in enumerate(kls) if each.items is not None}
    base = found.walk.points[0].scores
    held = Held(found.learn, found.keep, base, items)
    ways = [Way(names[n], _places(held, n, walk), walk.evaluations) for n, walk in enumerate(walks)]
    chosen = _label(0, found.chosen)
    return Rewound(
        found=found,
        held=held,
        ways=(_as_recorded(ways[0], found), *ways[1:]),
        by_step=matched(held, chosen, "step", steps),
        by_kl=matched(held, chosen, "KL", kls) if found.chosen.kl_nats is not None else (),
        tested=tested(found),
    )


def kept_unseen(view: Rewound) -> tuple[str, ...]:
    """Kept tasks that have no part in the mean of what was kept, since their unit is another."""
    return tuple(task for task in view.found.keep if task not in view.held.headline)


def _places(held: Held, number: int, walk: Walk) -> tuple[Place, ...]:
    return tuple(
        Place(
            label=(label := _label(number, point)),
            t=point.t,
            step_frac=point.step_frac,
            kl_nats=point.kl_nats,
            training_step=point.training_step,
            standing=held.standing(label),
        )
        for point in _in_order(walk.points)
    )


def _as_recorded(way: Way, found: Rewinding) -> Way:
    """The path of the choice, its chosen point and its end with the intervals that were found for them."""
    subjects = {way.places[-1].t: FINAL, found.t: CHOSEN}
    base, *others = way.places
    return replace(way, places=(base, *(_recorded(place, found, subjects.get(place.t)) for place in others)))


def _recorded(place: Place, found: Rewinding, subject: str | None) -> Place:
    if subject is None:
        return place
    gain, forgetting = (finding(found, subject, quantity) for quantity in ("gain", "forgetting"))
    return replace(place, standing=replace(place.standing, gain=gain, forgetting=forgetting))


def _in_order(points: Sequence[WalkPoint]) -> list[WalkPoint]:
    return sorted(points, key=lambda point: point.t)


def _label(number: int, point: WalkPoint) -> str:
    """Name of a point among those of all paths; the base has one name on all."""
    return f"{number}: {point.t!r}" if point.t else BASE


def _named(walk: Walk) -> str:
    return TRAJECTORY if any(point.training_step is not None for point in walk.points) else walk.path
