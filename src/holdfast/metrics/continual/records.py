"""From a matrix of scores to records, one a metric, each with a number or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record
from holdfast.metrics.continual.abilities import KINDS, Abilities, Kind, ability_delta
from holdfast.metrics.continual.formulas import METRICS
from holdfast.metrics.continual.matrix import Ceiling, Rows, ScoreMatrix
from holdfast.metrics.tradeoff import UnusableScores

SEQUENCE = "sequence"


def continual_metrics(
    matrix: ScoreMatrix | Rows,
    *,
    alone: Ceiling | Sequence[float | None] | None = None,
    general: Abilities | Sequence[Abilities] | None = None,
    subject: str = SEQUENCE,
) -> tuple[Record, ...]:
    """Every number of a sequence of trainings, under names that say which definition they are.

    Args:
        matrix: R[t, i], t = 0 the untouched base, i in training order; rows of numbers from 0 to 1, ``None`` or NaN
            where missing, are taken as one.
        alone: What each task reaches when it is trained alone, in training order; a `Ceiling` says if it was jointly.
        general: Scores of abilities that no stage trains, at most one of each kind.
        subject: What was measured.

    Returns:
        One record a metric, always all of them, and one for the delta of each kind of ability at the end; a record
        without a value has the reason.

    Raises:
        UnusableScores: If the shape is not that of a sequence, scores lie outside 0 to 1, two abilities have the same
            kind, or their stages are not those of the matrix.
    """
    scores = matrix if isinstance(matrix, ScoreMatrix) else ScoreMatrix.of(matrix)
    ceiling = alone if alone is None or isinstance(alone, Ceiling) else Ceiling.of(alone)
    if ceiling is not None and ceiling.scores.size != scores.tasks:
        raise UnusableScores(
            f"one score a task trained {ceiling.trained} is needed, "
            f"found {ceiling.scores.size} for {scores.tasks} tasks"
        )
    kinds = _by_kind([] if general is None else [general] if isinstance(general, Abilities) else general, scores)
    found = [_record(subject, metric.named(ceiling), partial(metric, scores, alone=ceiling)) for metric in METRICS]
    for kind in KINDS:
        abilities = kinds.get(kind)
        unit = "frac" if abilities is None else abilities.unit
        found.append(_record(subject, f"{kind}_delta", partial(_delta, kind, abilities), unit))
    return tuple(found)


def definitions() -> dict[str, str]:
    """Name of a metric -> its definition in a few words, for tables; names with how a ceiling was trained included."""
    words = {}
    for metric in METRICS:
        for trained in ("alone", "jointly") if metric.needs_ceiling else ("",):
            words[f"{metric.name}_{trained}".rstrip("_")] = metric.definition
    return words | {f"{kind}_delta": "at the end minus the untouched base, mean of benchmarks" for kind in KINDS}


def _record(subject: str, quantity: str, measure: Callable[[], float], unit: str = "frac") -> Record:
    try:
        return Record(subject=subject, quantity=quantity, unit=unit, value=measure())
    except NotMeasurable as undefined:
        return Record(subject=subject, quantity=quantity, unit=unit, reason=str(undefined))


def _delta(kind: Kind, abilities: Abilities | None) -> float:
    if abilities is None:
        raise NotMeasurable(f"undefined: no scores of {kind} abilities were given")
    return ability_delta(abilities)


def _by_kind(given: Sequence[Abilities], matrix: ScoreMatrix) -> dict[Kind, Abilities]:
    kinds = {abilities.kind: abilities for abilities in given}
    if len(kinds) != len(given):
        raise UnusableScores(f"abilities are given once a kind, found {', '.join(one.kind for one in given)}")
    for abilities in given:
        if len(abilities.scores) != matrix.tasks + 1:
            raise UnusableScores(
                f"{abilities.kind} abilities need a row for the untouched base and one a stage, "
                f"found {len(abilities.scores)} rows for {matrix.tasks} stages"
            )
    return kinds
