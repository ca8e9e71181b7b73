"""How wide a basin is: from far out inwards, then in halves, with a verdict at every distance that stops early.

Every distance is decided on directions of its own, so that earlier verdicts may say where to look next. A step can
only err in one way: below the width by a false "outside", beyond it by a false "inside". So the interval holds with the
chance stated if the errors of all steps add up to the rest, and if the score falls with the distance, which
`curve` looks at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from holdfast.core.basin import BasinWidth, WidthStep
from holdfast.metrics.basin.distance import check_sigma
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.metrics.basin.questions import Question, SoftDrop
from holdfast.metrics.basin.sequential import Decision, decide
from holdfast.metrics.interval import ROUNDING, check_level

DIRECTIONS_APART = 1_000_000
"""Between the first seeds of two steps."""


@dataclass(frozen=True)
class WidthSearch:
    """How to look for a width.

    Attributes:
        level: Chance that the interval holds, at least.
        ratio: How many times its lower end the upper end may be.
        factor: By how much the distance changes until both an inside and an outside are found.
        most_steps: At how many distances a verdict may be asked for; the error is divided among them.
        most_directions: After how many directions a distance is left undecided, or earlier if it looks hopeless.
        look_every: How many directions are asked between two looks.
        first_seed: Of the directions.
    """

    level: float = 0.95
    ratio: float = 1.5
    factor: float = 4.0
    most_steps: int = 10
    most_directions: int = 800
    look_every: int = 1
    first_seed: int = 0

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.ratio <= 1 or self.factor <= 1:
            raise ValueError(f"distances grow by factors above 1, found ratio {self.ratio} and factor {self.factor}")
        if min(self.most_steps, self.look_every) < 1 or not 1 <= self.most_directions <= DIRECTIONS_APART:
            raise ValueError("a search needs at least one step and at least one direction a step: no directions asked")

    @property
    def error(self) -> float:
        """Chance of a false verdict at one distance, at most."""
        return (1 - self.level) / self.most_steps


@dataclass
class _Bracket:
    """What is known of the width so far."""

    inside: float | None = None
    outside: float | None = None
    undecided: list[float] = field(default_factory=list)

    def learn(self, step: WidthStep) -> None:
        if step.verdict == "inside":
            self.inside = step.sigma
        elif step.verdict == "outside":
            self.outside = step.sigma
        else:
            self.undecided.append(step.sigma)

    def next_sigma(self, start: float, search: WidthSearch) -> float | None:
        """Where to look next; nowhere, once the interval is as narrow as asked for."""
        low, high, open_ = self.inside, self.outside, sorted(self.undecided)
        if low is None and high is None and not open_:
            return start
        if low is None:
            return min([*open_, *([] if high is None else [high])]) / search.factor
        if high is None:
            return max([*open_, low]) * search.factor
        between = [sigma for sigma in open_ if low < sigma < high]
        if not between:
            return sqrt(low * high) if high > low * search.ratio * (1 + ROUNDING) else None
        # Where the width is too close to be decided it is as good as known: close in on it from both sides.
        low_goal = min(between[0] / sqrt(search.ratio), high / search.ratio)
        high_goal = max(between[-1] * sqrt(search.ratio), low * search.ratio)
        if low < low_goal * (1 - ROUNDING):
            return low_goal
        return high_goal if high > high_goal * (1 + ROUNDING) else None


def width(
    evaluations: Evaluations,
    start: float,
    question: Question | None = None,
    search: WidthSearch | None = None,
    *,
    ability: str = "",
    chance: float = 0.0,
) -> BasinWidth:
    """The largest distance at which a question is still answered with yes, within an interval.

    Args:
        evaluations: Scores of the model.
        start: Where to begin; rather too far out than too close in, since "outside" is decided with few questions.
        question: What is to hold; by default a mean drop of at most 0.05.
        search: How to look.
        ability: Name of the task.
        chance: Score of a guess that knows nothing.

    Returns:
        The interval and all steps to it; without an end that was not found, and with the reason.

    Raises:
        ValueError: If the start is not above 0, or scores are none.
        NotMeasurable: If the base scores so low that no distance could be outside.
    """
    check_sigma(start)
    question, search = question or SoftDrop(), search or WidthSearch()
    before = evaluations.scored_items
    question.check(evaluations, chance)
    bracket, steps = _Bracket(), list[WidthStep]()
    while len(steps) < search.most_steps and (sigma := bracket.next_sigma(start, search)) is not None:
        steps.append(_step(evaluations, question, search, sigma, len(steps)))
        bracket.learn(steps[-1])
    return BasinWidth(
        ability=ability,
        question=question.label,
        test=question.test.label,
        level=search.level,
        low=bracket.inside,
        high=bracket.outside,
        steps=tuple(steps),
        scored_items=evaluations.scored_items - before,
        reason=_reason(bracket, start, search),
    )


def _step(evaluations: Evaluations, question: Question, search: WidthSearch, sigma: float, number: int) -> WidthStep:
    """Ask one direction after the other until it is decided whether ``sigma`` lies inside."""
    first = search.first_seed + number * DIRECTIONS_APART
    trials = list[float]()
    while len(trials) < search.most_directions:
        until = min(len(trials) + search.look_every, search.most_directions)
        trials += [question.trial(evaluations, sigma, first + at) for at in range(len(trials), until)]
        decision = decide(question.test, np.array(trials), search.error)
        if decision.verdict != "undecided" or _is_hopeless(decision, search):
            break
    estimate = question.estimate(np.array(trials))
    return WidthStep(sigma=sigma, verdict=decision.verdict, directions=len(trials), estimate=estimate)


def _is_hopeless(decision: Decision, search: WidthSearch) -> bool:
    """Whether a quarter of the directions was asked, and all of them would not bring half of the evidence needed.

    The error of a test does not depend on when it is given up.
    """
    frac = decision.trials / search.most_directions
    return frac >= 1 / 4 and decision.progress < frac / 2


def _reason(bracket: _Bracket, start: float, search: WidthSearch) -> str | None:
    if bracket.next_sigma(start, search) is None:
        return None
    left = f"after {search.most_steps} distances"
    if bracket.inside is None and bracket.outside is None:
        return f"{left} none was decided: allow more directions than {search.most_directions}"
    if bracket.inside is None:
        return f"{left} none was found inside: start further in"
    if bracket.outside is None:
        return f"{left} none was found outside: start further out"
    return f"{left} the interval is wider than asked for: allow more distances or more directions"
