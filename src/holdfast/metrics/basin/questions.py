"""What it means that a distance lies inside a basin, as a question that one direction after the other answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.evaluations import Evaluations, panel
from holdfast.metrics.basin.sequential import BetaMixture, Betting, SequentialTest, Sprt
from holdfast.metrics.interval import ROUNDING

ITEMS_A_DIRECTION: Final = 4


class Question(Protocol):
    """Whether the trials of a distance have a mean that is high enough."""

    @property
    def label(self) -> str:
        """The question, in words."""
        ...

    @property
    def test(self) -> SequentialTest:
        """What decides it."""
        ...

    def check(self, evaluations: Evaluations, chance: float) -> None:
        """Refuse a base that no distance could bring outside.

        Raises:
            NotMeasurable: If it is one.
        """
        ...

    def trial(self, evaluations: Evaluations, sigma: float, seed: int) -> float:
        """What one direction says: a number in [0, 1], of which more is better."""
        ...

    def estimate(self, trials: Float[np.ndarray, " n"]) -> float:
        """The quantity in question, as the trials have it."""
        ...


@dataclass(frozen=True)
class SoftDrop:
    """Whether the score drops by no more than a tolerance on average: over noise, and over the items of the ability.

    Each direction is asked a few items drawn at random, in pairs with the model as it is. What tells is the number of
    directions, since items of one direction are alike: few items of many directions answer with the fewest questions.

    Attributes:
        tolerance: How much may be lost.
        items_a_direction: How many items a direction is asked.
    """

    tolerance: float = 0.05
    items_a_direction: int = ITEMS_A_DIRECTION

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"a tolerance lies in [0, 1), found {self.tolerance}")
        _check_items(self.items_a_direction)

    @property
    def label(self) -> str:
        return f"mean drop of at most {self.tolerance:g}"

    @property
    def test(self) -> SequentialTest:
        return Betting((1 - self.tolerance) / 2)

    def check(self, evaluations: Evaluations, chance: float) -> None:
        base = float(evaluations.base().mean())
        if base - chance <= self.tolerance:
            raise NotMeasurable(
                f"no width: the model as it is scores {base:.4g}, a guess {chance:.4g}, so that {self.tolerance:g} "
                f"cannot be lost"
            )

    def trial(self, evaluations: Evaluations, sigma: float, seed: int) -> float:
        asked = panel(seed, evaluations.items, self.items_a_direction)
        return (1 - evaluations.drop(sigma, seed, asked.tolist())) / 2

    def estimate(self, trials: Float[np.ndarray, " n"]) -> float:
        return float(1 - 2 * trials.mean())


@dataclass(frozen=True)
class MeanScore:
    """Whether the mean score under noise stays above a floor.

    Attributes:
        floor: The score to be kept.
        items_a_direction: How many items a direction is asked.
    """

    floor: float = 0.9
    items_a_direction: int = ITEMS_A_DIRECTION

    def __post_init__(self) -> None:
        _check_items(self.items_a_direction)

    @property
    def label(self) -> str:
        return f"mean score of at least {self.floor:g}"

    @property
    def test(self) -> SequentialTest:
        return Betting(self.floor)

    def check(self, evaluations: Evaluations, chance: float) -> None:
        base = float(evaluations.base().mean())
        if not chance < self.floor < base:
            raise NotMeasurable(
                f"no width: a score of {self.floor:g} is to be kept, the model as it is has {base:.4g}, and a guess "
                f"{chance:.4g}"
            )

    def trial(self, evaluations: Evaluations, sigma: float, seed: int) -> float:
        asked = panel(seed, evaluations.items, self.items_a_direction)
        return float(evaluations.scores(sigma, seed, asked.tolist()).mean())

    def estimate(self, trials: Float[np.ndarray, " n"]) -> float:
        return float(trials.mean())


@dataclass(frozen=True)
class StrictShare:
    """Whether most directions score, over all items, no less than the model as it is.

    Attributes:
        margin: How much less still counts as no less; one item is 1 / items.
        test: Decides about the share. With `Sprt` the upper end of a width is where the share is below its ``p1``, so
            that the interval is one of both widths together; the default decides the one share either way.
    """

    margin: float = 0.0
    test: Sprt | BetaMixture = field(default_factory=BetaMixture)

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise ValueError(f"a margin lies in [0, 1), found {self.margin}")

    @property
    def label(self) -> str:
        less = f" less {self.margin:g}" if self.margin else ""
        wanted = f"share of at least {self.test.p0:g} of directions that score as the base does{less}"
        return f"{wanted}, outside once below {self.test.p1:g}" if isinstance(self.test, Sprt) else wanted

    def check(self, evaluations: Evaluations, chance: float) -> None:
        base = float(evaluations.base().mean())
        if base - self.margin <= chance:
            raise NotMeasurable(
                f"no width: the model as it is scores {base:.4g}, less {self.margin:g} no better than a guess"
            )

    def trial(self, evaluations: Evaluations, sigma: float, seed: int) -> float:
        return float(is_strict(evaluations.drop(sigma, seed), self.margin))

    def estimate(self, trials: Float[np.ndarray, " n"]) -> float:
        return float(trials.mean())


def is_strict(drop: float, margin: float) -> bool:
    """Whether a direction scores no less than the base, but for a margin; rounding does not decide."""
    return drop <= margin + ROUNDING


def _check_items(items: int) -> None:
    if items < 1:
        raise ValueError(f"a direction is asked at least one item, found {items}")
