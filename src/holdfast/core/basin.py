"""How far a model can be moved before it breaks: what a page about basins is made from.

Scores lie within 0 and 1, higher is better, and a distance is the standard deviation sigma of Gaussian noise on every
coordinate; its length is sigma times the root of the number of coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from holdfast.core.certificate import Certificate, Frac, Positive
from holdfast.core.document import Document, read_document
from holdfast.core.record import Record

Verdict = Literal["inside", "outside", "undecided"]


class Level(Document):
    """The scores at one distance, a row a direction.

    Attributes:
        sigma: The distance.
        seeds: Which directions were drawn.
        scores: Mean score over all items in each of them.
        mean: Mean over directions.
        spread: Student's 95 % interval of the mean over directions; absent with a single one.
        band: What the middle nine tenths of the directions score; absent with a single one.
        strict_share: Share of directions that score no less than the base, but for the margin of the curve.
        design_effect: How many times more the mean of all items varies from direction to direction than if each item
            had a direction of its own; absent where nothing varies, or with a single direction.
    """

    sigma: Positive
    seeds: tuple[int, ...] = Field(min_length=1)
    scores: tuple[Frac, ...] = Field(min_length=1)
    mean: Frac
    spread: tuple[FiniteFloat, FiniteFloat] | None = None
    band: tuple[Frac, Frac] | None = None
    strict_share: Frac
    design_effect: FiniteFloat | None = None


class BasinCurve(Document):
    """The score of an ability along directions of one kind.

    Attributes:
        ability: Name of the task.
        direction: Kind of direction, such as ``random``, ``worst``, ``toward tuned``.
        base: Score of the model as it is.
        chance: Score of a guess that knows nothing.
        margin: By how much a direction may score less than the base and still count as strict.
        items: How many items were asked in every direction.
        smooth: Whether scores are likelihoods, along which there is no basin to be seen.
        self_noise: Share of items that are graded otherwise when the untouched model is asked again; absent where it
            was asked once.
        levels: The distances, ascending.
        rises: Pairs of distances between which the mean score rises by more than noise explains: along them
            a width is not what its definition takes it for.
        soft_width: Distance up to which the mean drop stays within the tolerance, read off the grid.
        strict_width: Distance up to which the strict share stays at the share asked for, read off the grid.
    """

    ability: str
    direction: str
    base: Frac
    chance: Frac = 0.0
    margin: Frac = 0.0
    items: int = Field(ge=1)
    smooth: bool = False
    self_noise: Frac | None = None
    levels: tuple[Level, ...] = Field(min_length=1)
    rises: tuple[tuple[Positive, Positive], ...] = ()
    soft_width: Record
    strict_width: Record

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        sigmas = [level.sigma for level in self.levels]
        if any(one >= other for one, other in pairwise(sigmas)):
            raise ValueError(f"distances of a curve ascend, found {sigmas}")
        return self


class WidthStep(Document):
    """One distance at which it was decided whether it lies inside.

    Attributes:
        sigma: The distance.
        verdict: What was decided.
        directions: After how many directions.
        estimate: The mean drop, or the share of strict directions, that was seen.
    """

    sigma: Positive
    verdict: Verdict
    directions: int = Field(ge=1)
    estimate: FiniteFloat


class BasinWidth(Document):
    """How wide a basin is, with an interval that holds at the level stated.

    Attributes:
        ability: Name of the task.
        question: What was decided at every distance, in words.
        test: The sequential test.
        level: Chance that the width lies in the interval, at least, provided that the score falls with the distance.
        low: Largest distance found inside; absent where none was.
        high: Smallest distance found outside; absent where none was.
        steps: What was decided, in the order in which it was asked.
        scored_items: How many answers were graded for it.
        reason: Why an end of the interval is missing or it is wider than asked for.
    """

    ability: str
    question: str
    test: str
    level: Frac
    low: Positive | None = None
    high: Positive | None = None
    steps: tuple[WidthStep, ...]
    scored_items: int
    reason: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"the distance inside lies below the one outside, found {self.low} and {self.high}")
        if (self.low is None or self.high is None) and self.reason is None:
            raise ValueError("an end of the interval is missing without a reason")
        return self

    @property
    def sigma(self) -> float | None:
        """The middle of the interval in ratio; absent where an end is missing."""
        return None if self.low is None or self.high is None else (self.low * self.high) ** 0.5

    @property
    def ends(self) -> str:
        """Both ends in words."""
        return " to ".join("an end not found" if end is None else f"{end:.3g}" for end in (self.low, self.high))


class BasinVerdict(Document):
    """Whether a fine-tune left the basin of an ability.

    Attributes:
        ability: Name of the task.
        tuned: The fine-tune, as it was named.
        displacement: Length of the way from the base.
        sigma: The same in the unit of widths: the length over the root of the number of coordinates.
        verdict: Where that lies beside the interval of the width of random directions.
        drop: What the fine-tune itself scores less than the base, measured in pairs, with its interval.
        matched: The same for random displacements of the same length.
        certificate: What was certain beforehand.
        sentence: All this in words.
    """

    ability: str
    tuned: str
    displacement: Positive
    sigma: Positive
    verdict: Verdict
    drop: Record
    matched: Record | None = None
    certificate: Certificate | None = None
    sentence: str


class InputLevel(Document):
    """The scores under one amount of noise on the input.

    Attributes:
        amount: Share of the tokens that were replaced, or standard deviation of the noise on every coordinate of the
            embeddings.
        scores: Mean score over all items, one a draw.
        mean: Mean over draws.
        spread: Student's 95 % interval of the mean over draws; absent with a single one.
    """

    amount: Positive
    scores: tuple[Frac, ...] = Field(min_length=1)
    mean: Frac
    spread: tuple[FiniteFloat, FiniteFloat] | None = None


class InputCurve(Document):
    """The score of an ability while its prompts are disturbed and the weights are left alone.

    Attributes:
        ability: Name of the task.
        kind: ``tokens`` where tokens are replaced by others, ``embeddings`` where noise is put on their embeddings.
        base: Score on the prompts as they are.
        chance: Score of a guess that knows nothing.
        items: How many items were asked in every draw.
        levels: The amounts, ascending.
    """

    ability: str
    kind: Literal["tokens", "embeddings"]
    base: Frac
    chance: Frac = 0.0
    items: int = Field(ge=1)
    levels: tuple[InputLevel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        amounts = [level.amount for level in self.levels]
        if any(one >= other for one, other in pairwise(amounts)):
            raise ValueError(f"amounts of noise on an input ascend, found {amounts}")
        if self.kind == "tokens" and amounts[-1] > 1:
            raise ValueError(f"no more than all tokens can be replaced, found a share of {amounts[-1]}")
        return self


class BasinMeasurement(Document):
    """All that was found around a base.

    Attributes:
        base: The base, as it was named.
        base_identity: Name of its weights.
        space: Where the noise lies.
        coordinates: How many scalars it moves.
        tolerance: How much of a score may be lost, on average, within a soft basin.
        lost_frac: Share of the noise that rounding swallowed, by distance; empty where nothing was looked at.
        hash_before: Of the weights, before anything was moved.
        hash_after: The same afterwards.
        curves: Scores along directions.
        widths: Widths with intervals.
        certificates: What any fine-tune must keep.
        verdicts: Fine-tunes that were at hand.
        inputs: Scores while the prompts are disturbed.
        notes: What else must be known, a sentence each.
        environment: Versions, and how long it took.
        recipe: Every option, written out.
        command: What makes it anew, as it is typed; absent where it was not begun from a terminal.
    """

    base: str
    base_identity: str
    space: str
    coordinates: int = Field(ge=1)
    tolerance: Frac = 0.05
    lost_frac: tuple[tuple[Positive, Frac], ...] = ()
    hash_before: str
    hash_after: str
    curves: tuple[BasinCurve, ...] = ()
    widths: tuple[BasinWidth, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    verdicts: tuple[BasinVerdict, ...] = ()
    inputs: tuple[InputCurve, ...] = ()
    notes: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    recipe: Mapping[str, Any] = Field(default_factory=dict)
    command: str | None = None

    @model_validator(mode="after")
    def _given_back(self) -> Self:
        if self.hash_before != self.hash_after:
            raise ValueError("the weights are not what they were before they were moved: nothing found here counts")
        return self


def read_basin(file: Path) -> BasinMeasurement:
    """A measurement of basins from its file.

    Raises:
        DamagedCheckpoint: If the file is missing or holds something else.
    """
    return read_document(BasinMeasurement, file, "a measurement of basins", "measure with holdfast basin first")
