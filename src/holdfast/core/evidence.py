"""Everything a comparison measured, in one document: what a report is made from, on any machine, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import FiniteFloat

from holdfast.core.document import Document, read_document
from holdfast.core.isolation import IsolationCourse
from holdfast.core.record import Record
from holdfast.core.scores import PointScores

Standing = Literal["exact", "within", "coarse", "capped", "unbudgeted"]
"""How an entrant stands to the budget.

``exact``: the very count, up to 0.3 %. ``within``: inside the tolerance. ``coarse``: its nearest setting lies outside
the tolerance. ``capped``: it cannot reach the budget. ``unbudgeted``: it has no setting and trains more than that.
"""

RANKED: frozenset[Standing] = frozenset({"exact", "within", "coarse"})
"""Standings with which an entrant is compared with the others; the rest is shown apart."""


class CurvePoint(Document):
    """Scores of a checkpoint on validation items."""

    step: int
    scores: PointScores


class RewoundRun(Document):
    """A run at the point of its path that validation items chose.

    Attributes:
        path: Label of the path.
        t: The point: 0 is the base, 1 the final checkpoint.
        step_frac: How far from the base it is, as a share of the whole way.
        rule: The rule of choice.
        verdict: What to do, in words.
        too_few: Why the items did not suffice to decide, if they did not.
        test: The point on test items, which took no part in the choice.
        evaluations: How many points were scored to find it.
    """

    path: str
    t: float
    step_frac: float
    rule: str
    verdict: str
    too_few: str | None = None
    test: PointScores
    evaluations: int


class SeedRun(Document):
    """One reported run of an entrant.

    Attributes:
        seed: Its seed.
        curve: Its checkpoints on validation items, in order.
        test: Its final checkpoint on test items; absent if the run failed.
        facts: What was measured of the run itself.
        failure: Why there are no scores, if there are none.
        rewound: The run at its best point; absent if it was not looked for, or no path leads back.
        no_way_back: Why no path leads back, if none does.
        isolation: How the choice of held scalars went; absent if the method holds none.
    """

    seed: int
    curve: tuple[CurvePoint, ...] = ()
    test: PointScores | None = None
    facts: tuple[Record, ...] = ()
    failure: str | None = None
    rewound: RewoundRun | None = None
    no_way_back: str | None = None
    isolation: IsolationCourse | None = None


class RateTry(Document):
    """One learning rate that was tried.

    Attributes:
        learning_rate: Peak rate.
        target: Mean score on the target's validation items; absent if the run failed.
        kept: Mean change of the scores to be kept against the base; below 0 is forgetting.
        failure: Why there are no scores, if there are none.
    """

    learning_rate: float
    target: FiniteFloat | None = None
    kept: FiniteFloat | None = None
    failure: str | None = None


class Entrant(Document):
    """One method of the comparison.

    Attributes:
        label: Name it was given in the recipe.
        setting: The method with all options, as its budget was solved.
        standing: How it stands to the budget.
        asked_params: The budget.
        trainable_params: What it trains.
        moves_base: Whether a disabled adapter is not the base.
        served_as: How its result can be served: ``lora``, ``merged`` or ``live``.
        learning_rate: The rate that was chosen; absent if all tries failed.
        learning_rate_by_target: The rate that the target score alone would have chosen.
        tries: All rates tried.
        unspent_tries: Further tries it was allowed and did not need.
        runs: One run a seed.
        costs: Time and memory.
    """

    label: str
    setting: str
    standing: Standing
    asked_params: int
    trainable_params: int
    moves_base: bool
    served_as: str
    learning_rate: float | None = None
    learning_rate_by_target: float | None = None
    tries: tuple[RateTry, ...] = ()
    unspent_tries: int = 0
    runs: tuple[SeedRun, ...] = ()
    costs: tuple[Record, ...] = ()

    @property
    def budget_gap_frac(self) -> float:
        """How far it is from the budget, as a share of it; negative is below."""
        return (self.trainable_params - self.asked_params) / self.asked_params


class Measured(Document):
    """What trainings of many methods on one base leave, however they were arranged.

    Attributes:
        recipe: The recipe, every option written out.
        environment: Versions and machine.
        base: Name of the base model.
        base_identity: Name of its weights.
        base_params: How many parameters it has.
        vocabulary: How many tokens it knows; a guess that knows nothing costs the logarithm of that.
        keep: Names of the tasks to be kept, which nobody trains.
        base_test: Scores of the untouched base on test items.
        overlap_items: Training examples left out because they are also evaluated.
    """

    recipe: dict[str, Any]
    environment: dict[str, str]
    base: str
    base_identity: str
    base_params: int
    vocabulary: int
    keep: tuple[str, ...]
    base_test: PointScores
    overlap_items: int = 0


class Evidence(Measured):
    """A whole comparison.

    Attributes:
        learn: Names of the tasks to be learned.
        base_validation: Scores of the untouched base on validation items.
        entrants: The methods.
    """

    learn: tuple[str, ...]
    base_validation: PointScores
    entrants: tuple[Entrant, ...] = ()

    def rewound(self) -> Evidence | None:
        """The same comparison with every run at its best point; nothing if no run was rewound.

        Runs from which no path leads back stay where they ended.
        """
        if not any(run.rewound for entrant in self.entrants for run in entrant.runs):
            return None
        return self.model_copy(update={"entrants": tuple(_rewound(entrant) for entrant in self.entrants)})


def _rewound(entrant: Entrant) -> Entrant:
    runs = (run.model_copy(update={"test": run.rewound.test}) if run.rewound else run for run in entrant.runs)
    return entrant.model_copy(update={"runs": tuple(runs)})


def read_evidence(file: Path) -> Evidence:
    """The evidence in a file.

    Raises:
        DamagedCheckpoint: If the file is missing or holds something else.
    """
    missing = f"has the comparison in {file.parent} finished?"
    return read_document(Evidence, file, "the evidence of a comparison", missing)
