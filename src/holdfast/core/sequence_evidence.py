"""Everything that sequences of trainings measured, in one document: what their report is made from, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from holdfast.core.document import Document, read_document
from holdfast.core.evidence import Measured, RateTry
from holdfast.core.isolation import IsolationCourse
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.core.record import Record
from holdfast.core.scores import PointScores

Regime = Literal["sequence", "alone", "jointly"]
"""How an entrant meets the tasks: one after the other, each by itself from the base, or all of them mixed."""


class Stage(Document):
    """What there was after one training.

    Attributes:
        task: What was trained; the names joined by ``+`` where tasks were mixed.
        test: Scores on test items of all tasks and of all abilities.
        facts: What was measured of the training itself.
        plan: The tensors that were chosen to be trained; absent where the method does not choose.
        isolation: How the choice of held scalars went; absent if the method holds none.
    """

    task: str
    test: PointScores
    facts: tuple[Record, ...] = ()
    plan: ParameterPlan | None = None
    isolation: IsolationCourse | None = None


class ChainRun(Document):
    """One sequence of trainings.

    Attributes:
        order: The tasks in the order in which they were trained; a single one where it was trained alone.
        seed: Training seed.
        stages: One a training, as far as they went.
        failure: Why there are no more stages, if some are missing.
    """

    order: tuple[str, ...]
    seed: int
    stages: tuple[Stage, ...] = ()
    failure: str | None = None


class SequenceEntrant(Document):
    """One row of the table: a method, and how it meets the tasks.

    Attributes:
        label: Name of the row.
        setting: The method with all options.
        regime: How it meets the tasks.
        trainable_params: What it trains in a stage; where it chooses anew in each, in the first one.
        learning_rate: The rate that was chosen; absent if all tries failed.
        tries: All rates tried.
        unspent_tries: Further tries it was allowed and did not need.
        runs: One for each order and seed; one for each task and seed where tasks are trained alone.
        costs: Time, memory and storage.
    """

    label: str
    setting: str
    regime: Regime
    trainable_params: int
    learning_rate: float | None = None
    tries: tuple[RateTry, ...] = ()
    unspent_tries: int = 0
    runs: tuple[ChainRun, ...] = ()
    costs: tuple[Record, ...] = ()


class SequenceEvidence(Measured):
    """All sequences of one recipe.

    Attributes:
        tasks: Names of the tasks, as the recipe lists them.
        orders: The orders in which the tasks were trained.
        entrants: The rows.
    """

    tasks: tuple[str, ...]
    orders: tuple[tuple[str, ...], ...]
    entrants: tuple[SequenceEntrant, ...] = ()


def read_sequence_evidence(file: Path) -> SequenceEvidence:
    """The evidence in a file.

    Raises:
        DamagedCheckpoint: If the file is missing or holds something else.
    """
    missing = f"have the sequences in {file.parent} finished?"
    return read_document(SequenceEvidence, file, "the evidence of sequences", missing)
