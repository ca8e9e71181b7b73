"""What was found on the ways back from a finished checkpoint, and where to stop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, FiniteFloat

from holdfast.core.document import Document, read_document
from holdfast.core.record import Record
from holdfast.core.scores import PointScores

CHOSEN, FINAL, UNSEEN = "chosen", "final", "cross-fit"
"""Subjects of records: the chosen point, the end of the path, and what the rule gives on items that did not choose."""


class WalkPoint(Document):
    """A point of a path, with its scores.

    Attributes:
        t: Where on the path: 0 is the base, 1 the checkpoint.
        step_frac: How far from the base: the norm of its update over that of the whole.
        scores: Scores on the items that choose.
        training_step: The optimizer step of a saved checkpoint; absent elsewhere.
    """

    t: float
    step_frac: FiniteFloat
    scores: PointScores
    training_step: int | None = None

    @property
    def kl_nats(self) -> float | None:
        """KL(base || point) in nats a token over all texts that were read, where it was measured."""
        read = [scores for scores in self.scores.tasks if scores.kl_nats is not None]
        if not read:
            return None
        return sum(sum(scores.kl_nats or ()) for scores in read) / sum(sum(scores.weights) for scores in read)


class Skipped(Document):
    """Answers on a task that the points around had decided, so that they were not asked for, and what that may cost.

    Attributes:
        decided: How many answers were decided so, each item counted at every point.
        skipped: How many of them were never asked for.
        audited: How many were drawn at random and asked all the same.
        wrong: How many of these turned out otherwise; it is their own answer that counts.
        error_frac: One-sided upper 95 % limit of the share of decided answers that are wrong.
    """

    decided: int
    skipped: int
    audited: int
    wrong: int
    error_frac: float


class Walk(Document):
    """A path that was walked.

    Attributes:
        path: Its label.
        points: What was evaluated, in ascending t; base and end are among them.
        evaluations: How many points were scored on it, the base not counted.
        skipped: By task, what was not asked since other points had decided it; empty where everything was asked.
    """

    path: str
    points: tuple[WalkPoint, ...]
    evaluations: int
    skipped: Mapping[str, Skipped] = Field(default_factory=dict)


class Rewinding(Document):
    """A search for the best point on the way from a base to a checkpoint.

    Attributes:
        base: The base, as it was named.
        base_identity: Name of its weights.
        tuned: The checkpoint, as it was named.
        form: How it is held, such as ``lora adapter`` or ``full checkpoint``.
        learn: Tasks that were to be learned.
        keep: Tasks that were to be kept.
        rule: The rule of choice.
        walk: The path on which the point is chosen.
        rivals: Other paths, for comparison.
        refused: Paths that are not there, and why.
        t: The chosen point.
        verdict: What to do, in words.
        overshoot: Whether the checkpoint overshot, in words.
        too_few: Why the items do not suffice to decide, if they do not.
        notes: What else must be known of the checkpoint or its paths, a sentence each.
        records: Gain, forgetting and the rest at the chosen point and at the end.
        test: Scores on test items of the base, the chosen point and the end, which took no part in the choice.
        environment: Versions, and how long it took.
    """

    base: str
    base_identity: str
    tuned: str
    form: str
    learn: tuple[str, ...]
    keep: tuple[str, ...]
    rule: str
    walk: Walk
    rivals: tuple[Walk, ...] = ()
    refused: Mapping[str, str] = Field(default_factory=dict)
    t: float
    verdict: str
    overshoot: str
    too_few: str | None = None
    notes: tuple[str, ...] = ()
    records: tuple[Record, ...]
    test: Mapping[str, PointScores] = Field(default_factory=dict)
    environment: Mapping[str, str] = Field(default_factory=dict)

    @property
    def chosen(self) -> WalkPoint:
        """The chosen point of the path."""
        return next(point for point in self.walk.points if point.t == self.t)


def read_rewinding(file: Path) -> Rewinding:
    """A rewinding from its file.

    Raises:
        DamagedCheckpoint: If the file is missing or does not hold one.
    """
    return read_document(Rewinding, file, "a rewinding", "was the search finished?")
