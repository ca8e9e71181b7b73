"""How the choice of held scalars went over one training: what a page about drifting importance is made from."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from pydantic import FiniteFloat, model_validator

from holdfast.core.document import Document


class Refresh(Document):
    """One choice of the scalars to be held.

    Attributes:
        step: Optimizer steps that were done when it was made.
        held: How many scalars it holds.
        released: How many of those held before it lets go; absent at the first choice.
        seconds: How long choosing took.
    """

    step: int
    held: int
    released: int | None = None
    seconds: FiniteFloat


class Share(Document):
    """How much of one part of the model is held after the last choice.

    Attributes:
        block: Number of the decoder block; absent outside of blocks.
        module: Kind of module, such as ``q_proj``.
        held: Scalars held.
        size: Scalars that could be.
    """

    block: int | None = None
    module: str
    held: int
    size: int


class IsolationCourse(Document):
    """The choices of one training, from the first to the last; none, if training ended before the first.

    Attributes:
        method: The method with its options.
        eligible: Scalars among which was chosen.
        params: Scalars of the whole model.
        examined: On how many of the eligible scalars overlaps and ages were counted: all, or every n-th.
        refreshes: The choices, in order; where there were very many, every n-th of them.
        jaccard: Overlap of any two choices, in their order: shared scalars over scalars in either, in [0, 1]; absent
            where both are empty.
        chance_jaccard: What two random choices of the last one's size would overlap by, in expectation (to first
            order); absent where the last choice is empty.
        ages_steps: For every examined scalar held at the end, counted by how many steps it has been held without a
            break: pairs of steps and scalars, ascending.
        shares: How the last choice is spread over the model.
        extra_bytes: Memory beyond plain training: averages, masks, kept values.
        notes: What a reader must know of how the importance was seen, in sentences.
        choices: How many were made in all; absent where all of them are listed.
        at_random: Whether every choice was drawn anew at random: a control, whose overlaps should be those of chance.
    """

    method: str
    eligible: int
    params: int
    examined: int
    refreshes: tuple[Refresh, ...]
    jaccard: tuple[tuple[FiniteFloat | None, ...], ...]
    chance_jaccard: FiniteFloat | None = None
    ages_steps: tuple[tuple[int, int], ...]
    shares: tuple[Share, ...]
    extra_bytes: int
    notes: tuple[str, ...] = ()
    choices: int | None = None
    at_random: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        steps, ages = [each.step for each in self.refreshes], [age for age, _ in self.ages_steps]
        if any(one >= other for one, other in pairwise(steps)):
            raise ValueError(f"choices follow each other, found them at steps {steps}")
        if any(one >= other for one, other in pairwise(ages)):
            raise ValueError(f"ages ascend, found {ages}")
        most = max((each.held for each in self.refreshes), default=0)
        if not most <= self.eligible >= self.examined:
            raise ValueError(
                f"no more can be held or examined than is eligible: found {most:,} held and {self.examined:,} examined "
                f"of {self.eligible:,}"
            )
        rows = [len(row) for row in self.jaccard]
        if rows != [len(steps)] * len(steps):
            raise ValueError(f"overlaps are a row and a column a choice: found {len(steps)} choices and rows of {rows}")
        found = [overlap for row in self.jaccard for overlap in row if overlap is not None]
        if any(not 0 <= overlap <= 1 for overlap in found):
            raise ValueError(f"an overlap lies within 0 and 1, found {min(found)} to {max(found)}")
        return self
