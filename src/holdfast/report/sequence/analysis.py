"""From the evidence of sequences to numbers with intervals, row by row and pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.core.sequence_evidence import SequenceEvidence
from holdfast.metrics.bootstrap import resample
from holdfast.metrics.continual.formulas import METRICS
from holdfast.metrics.continual.metric import Metric
from holdfast.metrics.continual.resampling import SequenceDraws, resample_runs
from holdfast.metrics.tradeoff import Benchmark
from holdfast.report.sequence.columns import UNMOVED, ability_column, nature_of
from holdfast.report.sequence.numbers import Number, levelled, spread_of, undefined
from holdfast.report.sequence.rows import Entered, Scores, entered
from holdfast.report.sequence.scale import Scale

Draws = Float[np.ndarray, " resamples"]
Chains = frozenset[tuple[tuple[str, ...], int]]
"""Orders and seeds."""

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Measured:
    """A row with its numbers.

    Attributes:
        row: Whose.
        numbers: Name of a metric, or of a column of abilities -> its number.
        draws: The same -> the number in every resample, where there are draws.
        covers: What was drawn anew.
    """

    row: Entered
    numbers: Mapping[str, Number]
    draws: Mapping[str, Draws] = field(default_factory=dict)
    covers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the row."""
        return self.row.name


@dataclass(frozen=True)
class Analysed:
    """All rows, ready to be told.

    Attributes:
        evidence: What was measured.
        scores: Where scores are looked up.
        rows: Sequences, then ceilings, then the untouched base.
        reference: Name of the sequence that others are held against; none where no sequence was finished.
        controls: Names of the sequences in which chance chose what is trained.
        resamples: How many times items and runs were drawn.
        level: Of the intervals.
        parts: Rows on some of their chains alone, made when two rows did not finish the same ones.
    """

    evidence: SequenceEvidence
    scores: Scores
    rows: tuple[Measured, ...]
    reference: str | None
    controls: tuple[str, ...]
    resamples: int
    level: float
    parts: dict[tuple[str, Chains], Measured] = field(default_factory=dict, compare=False, repr=False)

    @property
    def sequences(self) -> tuple[Measured, ...]:
        """The sequences of which some were finished."""
        return tuple(each for each in self.rows if each.row.in_sequence and each.row.runs)

    @property
    def opponents(self) -> tuple[Measured, ...]:
        """Those that all others are held against: the reference, then the controls."""
        names = dict.fromkeys([self.reference, *self.controls])
        return tuple(self.of(name) for name in names if name is not None)

    @property
    def orders(self) -> int:
        """How many orders were finished by somebody."""
        return len({run.order for each in self.sequences for run in each.row.runs})

    @property
    def seeds(self) -> int:
        """How many seeds were finished by somebody."""
        return len({run.seed for each in self.sequences for run in each.row.runs})

    @property
    def ability_units(self) -> tuple[str, ...]:
        """Units of the abilities, those of most abilities first."""
        units = [self.scores.base(task).unit for task in self.evidence.keep]
        return tuple(sorted(dict.fromkeys(units), key=lambda unit: -units.count(unit)))

    @property
    def unit(self) -> str | None:
        """The unit of all tasks; none where they differ."""
        units = {self.scores.base(task).unit for task in self.evidence.tasks}
        return units.pop() if len(units) == 1 else None

    def of(self, name: str) -> Measured:
        """The row of a name."""
        return next(each for each in self.rows if each.name == name)


def analysed(evidence: SequenceEvidence, resamples: int | None = None, level: float = LEVEL) -> Analysed:
    """Every number of every row with its interval over items and, where there are several, orders and seeds.

    Chains that broke off take no part; rows say how many were finished.

    Args:
        evidence: What was measured.
        resamples: How many times to draw; by default as often as the recipe says.
        level: Of the intervals.

    Raises:
        UnusableScores: If scores of a task are missing, or of other items than the base was asked.
    """
    scores = Scores(evidence)
    resamples = resamples or int(evidence.recipe.get("resamples", RESAMPLES))
    rows = [measured(row, scores, resamples, level) for row in entered(evidence, scores)]
    names = [each.name for each in rows if each.row.in_sequence and each.row.runs]
    heads = {name: _head(rows, name) for name in names}
    full = [name for name in names if heads[name] == "full"]
    return Analysed(
        evidence=evidence,
        scores=scores,
        rows=tuple(rows),
        reference=next(iter([*full, *names]), None),
        controls=tuple(name for name in names if "random" in heads[name]),
        resamples=resamples,
        level=level,
    )


def _head(rows: Sequence[Measured], name: str) -> str:
    """Name of the method of a row, without its options."""
    entrant = next(each.row.entrant for each in rows if each.name == name)
    setting = entrant.setting if entrant is not None else name
    return setting.replace("(", ":").split(":")[0].strip()


def measured(row: Entered, scores: Scores, resamples: int, level: float) -> Measured:
    """A row with all its numbers; each without a value has the reason."""
    if not row.runs:
        failed = undefined("no run was finished")
        names = [metric.name for metric in METRICS]
        units = {ability_column(scores.base(task).unit) for task in scores.evidence.keep}
        return Measured(row, dict.fromkeys([*names, *sorted(units)], failed))
    draws = resample_runs(row.runs, resamples)
    covers = ("items", *(source.name for source in draws.sources))
    numbers: dict[str, Number] = {}
    kept: dict[str, Draws] = {}
    scales = set(scores.scales.values())
    for metric in METRICS:
        number, drawn = _metric(metric, draws, row, scales, level)
        numbers[metric.name] = number
        if drawn is not None:
            kept[metric.name] = drawn
    for unit in sorted({scores.base(task).unit for task in scores.evidence.keep}):
        name = ability_column(unit)
        kept[name], value = _ability(row, unit, scores, draws, resamples)
        numbers[name] = Number(value, spread_of(kept[name], value, level), covers, unit)
    return Measured(row, numbers, kept, covers)


def _metric(
    metric: Metric, draws: SequenceDraws, row: Entered, scales: set[Scale], level: float
) -> tuple[Number, Draws | None]:
    if len(scales) > 1:
        return undefined(
            "undefined: some tasks are scored from 0 to 1 and some in nats per token: no common mean"
        ), None
    (scale,) = scales
    if scale.unit != "frac" and metric.name in UNMOVED:
        return undefined(f"undefined: {metric.name} takes 0 for nothing, and scores are in {scale.unit}"), None
    if not row.in_sequence and metric.name != "final_accuracy":
        return undefined(f"undefined: {_no_sequence(row)}, so there is no {metric.name.replace('_', ' ')}"), None
    nature = nature_of(metric)
    unit = "frac" if nature == "ratio" else scale.unit
    try:
        value = draws.estimate(metric)
    except NotMeasurable as reason:
        return undefined(str(reason)), None
    shown = scale.back(value, nature)
    covers = ("items", *(source.name for source in draws.sources))
    try:
        drawn = draws.draws(metric)
    except NotMeasurable as reason:
        return Number(shown, None, covers, unit, str(reason)), None
    drawn = scale.back(drawn, nature)
    return Number(shown, spread_of(drawn, shown, level), covers, unit), drawn


def _no_sequence(row: Entered) -> str:
    if row.entrant is None:
        return "nothing was trained"
    return "each task is trained by itself" if row.entrant.regime == "alone" else "all tasks are trained at once"


def _ability(row: Entered, unit: str, scores: Scores, draws: SequenceDraws, resamples: int) -> tuple[Draws, float]:
    """Mean change of the abilities of a unit at the end of the runs, each ability and each model of equal weight."""
    changes, value = [], []
    for task in (task for task in scores.evidence.keep if scores.base(task).unit == unit):
        base = scores.base(task)
        models = {
            f"{run} {model}": np.array([scores.of(point, task, row.name).values])
            for run, points in enumerate(row.ends)
            for model, point in enumerate(points)
        }
        found = resample([Benchmark(task, "keep", np.array(base.values), models, np.array(base.weights))], resamples)
        changes.append(
            np.stack(
                [
                    np.mean([found.differences[f"{run} {model}", task] for model in range(len(points))], axis=0)
                    for run, points in enumerate(row.ends)
                ],
                axis=1,
            )
        )
        value.append(
            np.mean(
                [np.mean([found.estimate(f"{r} {m}", task) for m in range(len(p))]) for r, p in enumerate(row.ends)]
            )
        )
    return levelled(np.mean(changes, axis=0), draws.sources), float(np.mean(value))
