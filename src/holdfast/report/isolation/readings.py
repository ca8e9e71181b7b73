"""What a course of choices says in numbers, for one training and over the seeds of an entrant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, median

from holdfast.core.isolation import IsolationCourse, Refresh
from holdfast.metrics.mask_drift import above_chance_sd, chance_jaccard_within, kept_frac
from holdfast.report.comparison import PointResult, Span

Pair = tuple[int, int]
"""Two choices by their place in the course, the earlier first."""


@dataclass(frozen=True)
class Reading:
    """One training. What needs two choices that hold something is absent where there are none.

    Attributes:
        course: Its choices.
    """

    course: IsolationCourse

    @property
    def places(self) -> tuple[int, ...]:
        """The choices that hold something, as far as they were examined."""
        return tuple(place for place, row in enumerate(self.course.jaccard) if row[place] is not None)

    @property
    def made(self) -> int:
        """How many choices were made in all, on record or not."""
        return len(self.course.refreshes) if self.course.choices is None else self.course.choices

    @property
    def of_whole_parts(self) -> bool:
        """Whether the last choice holds every part of the model as a whole or not at all.

        Draws of a few parts scatter far more than draws of single scalars, by which chance is reckoned here.
        """
        return bool(self.course.shares) and all(share.held in {0, share.size} for share in self.course.shares)

    @property
    def ends(self) -> Pair | None:
        """The first choice and the last."""
        return (self.places[0], self.places[-1]) if len(self.places) > 1 else None

    @property
    def neighbours(self) -> tuple[Pair, ...]:
        """Choices that follow each other on record."""
        return tuple(pairwise(self.places))

    @property
    def half_way(self) -> Pair | None:
        """The first choice, and the one nearest to half way between it and the last; absent with fewer than three."""
        if self.ends is None or len(self.places) == 2:
            return None
        whole = self._distance(self.ends)
        between = [(self.places[0], place) for place in self.places[1:-1]]
        return min(between, key=lambda pair: abs(2 * self._distance(pair) - whole))

    @property
    def last(self) -> Refresh | None:
        """The last choice."""
        return self.course.refreshes[-1] if self.course.refreshes else None

    @property
    def held_frac(self) -> float | None:
        """Share of the eligible scalars that the last choice holds: also how much of any choice a random one holds."""
        return self.last.held / self.course.eligible if self.last and self.course.eligible else None

    @property
    def held_params_frac(self) -> float | None:
        """The same of all scalars of the model."""
        return self.last.held / self.course.params if self.last and self.course.params else None

    @property
    def turnover_frac(self) -> float | None:
        """Share of what was held that a choice lets go, in the median over choices."""
        shares = [share for _, share in self.turnovers()]
        return median(shares) if shares else None

    @property
    def neighbour_kept_frac(self) -> float | None:
        """Share of what was held that the next choice holds too, in the median, whether that is on record or not."""
        return None if self.ends is None or self.turnover_frac is None else 1 - self.turnover_frac

    @property
    def neighbour_jaccard(self) -> float | None:
        """Overlap of choices that follow each other on record, in the median."""
        return median(map(self.jaccard, self.neighbours)) if self.neighbours else None

    @property
    def ends_jaccard(self) -> float | None:
        """Overlap of the first choice and the last."""
        return None if self.ends is None else self.jaccard(self.ends)

    @property
    def ends_kept_frac(self) -> float | None:
        """Share of the first choice that the last still holds, or holds again."""
        return None if self.ends is None else self.kept_frac(self.ends)

    @property
    def half_kept_frac(self) -> float | None:
        """Share of the first choice that the one half way holds."""
        return None if self.half_way is None else self.kept_frac(self.half_way)

    @property
    def chance_within_jaccard(self) -> float | None:
        """Overlap of random choices that are spread over the model like the last one."""
        return chance_jaccard_within((share.held, share.size) for share in self.course.shares)

    @property
    def seconds(self) -> float | None:
        """How long choosing took, in the median."""
        return median(each.seconds for each in self.course.refreshes) if self.course.refreshes else None

    def jaccard(self, pair: Pair) -> float:
        """Overlap of two choices that hold something."""
        overlap = self.course.jaccard[pair[0]][pair[1]]
        assert overlap is not None, "an overlap is absent only where both choices are empty"
        return overlap

    def kept_frac(self, pair: Pair) -> float:
        """Share of a choice that a later one holds too."""
        return kept_frac(self.jaccard(pair), *self._held(pair))

    def above_chance_sd(self, pair: Pair) -> float | None:
        """By how many standard deviations two choices share more than two random ones."""
        # Counts are those of the scalars that were examined; the share held among them is that among all.
        part = self.course.examined / self.course.eligible
        before, after = (part * held for held in self._held(pair))
        return above_chance_sd(self.jaccard(pair), before, after, self.course.examined)

    def turnovers(self) -> Iterator[tuple[int, float]]:
        """Step and turnover of every choice on record after one that held something."""
        for before, after in pairwise(self.course.refreshes):
            if before.held and after.released is not None:
                yield after.step, after.released / before.held

    def of_the_first(self) -> Iterator[tuple[int, float]]:
        """Step of every choice, and the share of the first one that it holds."""
        for place in self.places:
            first = self.places[0]
            yield self.course.refreshes[place].step, 1.0 if place == first else self.kept_frac((first, place))

    def _held(self, pair: Pair) -> tuple[int, int]:
        return self.course.refreshes[pair[0]].held, self.course.refreshes[pair[1]].held

    def _distance(self, pair: Pair) -> int:
        return self.course.refreshes[pair[1]].step - self.course.refreshes[pair[0]].step


@dataclass(frozen=True)
class Over:
    """A number over the seeds of an entrant.

    Attributes:
        mean: Its mean over those that have it.
        ends: The least and the largest.
        seeds: How many have it.
    """

    mean: float
    ends: Span
    seeds: int


@dataclass(frozen=True)
class Drift:
    """The trainings of one entrant.

    Attributes:
        name: The entrant.
        readings: Seed -> its training, in the order in which they are reported.
    """

    name: str
    readings: dict[int, Reading]

    @property
    def shown(self) -> Reading:
        """The training that is drawn: the first of those with the most choices."""
        return max(self.readings.values(), key=lambda reading: len(reading.places))

    @property
    def shown_seed(self) -> int:
        """Its seed."""
        return next(seed for seed, reading in self.readings.items() if reading is self.shown)

    @property
    def at_random(self) -> bool:
        """Whether it is a control that draws its choices anew at random."""
        return self.shown.course.at_random

    @property
    def choices(self) -> int:
        """The most choices of a training that hold something."""
        return len(self.shown.places)

    def over(self, number: Callable[[Reading], float | None]) -> Over | None:
        """A number of a training, over the seeds; nothing where none has it."""
        found = [value for reading in self.readings.values() if (value := number(reading)) is not None]
        return Over(fmean(found), (min(found), max(found)), len(found)) if found else None

    def above_chance_sd(self, pairs: Callable[[Reading], Sequence[Pair]]) -> float | None:
        """By how many standard deviations some choices together share more than random ones; absent without any.

        Pairs are counted as independent of each other, as those of random choices that follow each other are.
        """
        distances = [
            sd
            for reading in self.readings.values()
            for pair in pairs(reading)
            if (sd := reading.above_chance_sd(pair)) is not None
        ]
        return sum(distances) / sqrt(len(distances)) if distances else None

    def line(self, course: Callable[[Reading], Iterator[tuple[int, float]]]) -> dict[int, Over]:
        """Step -> a number over the seeds that have it there."""
        found: dict[int, list[float]] = {}
        for reading in self.readings.values():
            for step, value in course(reading):
                found.setdefault(step, []).append(value)
        return {
            step: Over(fmean(values), (min(values), max(values)), len(values)) for step, values in sorted(found.items())
        }


def drifts_of(points: Sequence[PointResult]) -> tuple[Drift, ...]:
    """The entrants that hold scalars, in the order given."""
    return tuple(
        Drift(point.name, {seed: Reading(course) for seed, course in point.isolation.items()})
        for point in points
        if point.isolation
    )
