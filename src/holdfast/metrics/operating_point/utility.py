"""What the points of a path are worth, kept item by item so that any two can be told apart, or not, by paired noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.interval import ROUNDING


@dataclass(frozen=True, eq=False)
class Part:
    """What one task adds to a utility.

    Attributes:
        name: The task.
        factor: What a point of score is worth.
        shares: Share of each item in the mean; they add up to 1.
        values: Score of every candidate on every item, the base first.
        graded: Whether scores lie within 0 and 1.
    """

    name: str
    factor: float
    shares: Float[np.ndarray, " items"]
    values: Float[np.ndarray, "candidates items"]
    graded: bool


@dataclass(frozen=True, eq=False)
class Utility:
    """A sum over tasks of mean scores, each times a factor, counted from the base.

    Attributes:
        parts: The tasks; their items are independent of each other.
    """

    parts: tuple[Part, ...]

    @cached_property
    def values(self) -> Float[np.ndarray, " candidates"]:
        """One value a candidate; exactly 0 at the base."""
        # Item by item first, so that what is common to all points drops out before it can round.
        rises = [part.factor * ((part.values - part.values[0]) @ part.shares) for part in self.parts]
        total: Float[np.ndarray, " candidates"] = np.sum(rises, axis=0)
        return total

    @cached_property
    def slack(self) -> float:
        """Differences up to this are rounding."""
        return ROUNDING * sum(abs(part.factor) * float(np.abs(part.values).max()) for part in self.parts)

    def times(self, factor: float) -> Utility:
        """The same, every part worth ``factor`` times as much."""
        return Utility(tuple(replace(part, factor=factor * part.factor) for part in self.parts))

    def plus(self, other: Utility) -> Utility:
        """The sum of two utilities over different tasks."""
        return Utility(self.parts + other.parts)

    def mixed(self, rows: Float[np.ndarray, "candidates candidates"]) -> Utility:
        """The same with the scores of every candidate replaced by a mix of those of all; each row adds up to 1."""
        return Utility(tuple(replace(part, values=rows @ part.values) for part in self.parts))

    def lead(self, one: int, other: int) -> tuple[float, float]:
        """By how much one candidate is worth more than another, and the paired standard error of that.

        With shares s_i and paired differences d_i of the n items of a task with mean m, the squared error is
        n / (n - 1) sum_i s_i^2 (d_i - m)^2, and those of tasks add up. With equal shares it is the textbook's. One item
        that alone differs is then exactly one standard error, whatever n.

        Args:
            one: Place of the one.
            other: Place of the other.

        Returns:
            The difference and its standard error.

        Raises:
            NotMeasurable: If a task has a single item, from which nothing can be said of others.
        """
        total, square = 0.0, 0.0
        for part in self.parts:
            items = part.shares.size
            if items < 2:
                raise NotMeasurable(f"undefined: a standard error over items needs at least two, and {part.name} has 1")
            differences = part.values[one] - part.values[other]
            mean = float(differences @ part.shares)
            total += part.factor * mean
            square += part.factor**2 * items / (items - 1) * float((part.shares**2) @ (differences - mean) ** 2)
        return total, math.sqrt(square)

    def half_width(self, one: int, other: int, errors: float) -> float:
        """How far the true difference of two candidates may be from the one found, on either side.

        Graded answers that hardly differ have next to no standard error, and would have more if more of them differed.
        As in Wilson's interval of a proportion (1927) the noise is therefore that of the difference supposed: if it is
        off by x, a share x more of the items differs by up to 1, which adds x sum_i s_i^2 to a task's squared error.

        Args:
            one: Place of the one.
            other: Place of the other.
            errors: How many standard errors the truth may be off, such as 1.96.

        Returns:
            Half the width of the interval; above 0 for graded answers even if none differs.

        Raises:
            NotMeasurable: If a task has a single item.
        """
        _, error = self.lead(one, other)
        unseen = sum(part.factor**2 * float((part.shares**2).sum()) for part in self.parts if part.graded)
        # x^2 = errors^2 (error^2 + x unseen), solved for x.
        middle = errors**2 * unseen / 2
        return middle + math.sqrt(middle**2 + (errors * error) ** 2)

    def not_worse(self, one: int, other: int) -> bool:
        """Whether one candidate is worth no less than another, to within one paired standard error."""
        difference, error = self.lead(one, other)
        return difference >= -error - self.slack

    def apart(self, one: int, other: int) -> bool:
        """Whether two candidates differ by more than one paired standard error."""
        return not (self.not_worse(one, other) and self.not_worse(other, one))


def best(utility: Utility, places: Iterable[int]) -> int:
    """The place with the most utility; of equal ones the first.

    Args:
        utility: What counts.
        places: At least one, in order of preference at ties.

    Returns:
        One of the places.
    """
    ordered = list(places)
    top = max(utility.values[i] for i in ordered)
    return next(i for i in ordered if utility.values[i] >= top - utility.slack)


def safest(utility: Utility, chosen: int, by_step: Sequence[int]) -> int:
    """The smallest step that is not worse than a chosen point by more than one paired standard error.

    Args:
        utility: What counts.
        chosen: Place of the point, which is among those to choose from.
        by_step: Places to choose from, the smallest step first.

    Returns:
        One of the places; the chosen one if all smaller steps are worse.
    """
    return next(i for i in by_step if i == chosen or utility.not_worse(i, chosen))
