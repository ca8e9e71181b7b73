"""Every measure of geometry against forgetting, given the size of the update and the gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from holdfast.core.errors import NotMeasurable
from holdfast.core.foretelling import SIZE, Foretelling, LeftOut, Measured
from holdfast.metrics.cohort import Cohort, redraw
from holdfast.metrics.correlation import (
    FEWEST_CHECKPOINTS,
    Estimate,
    Undefined,
    estimate_pearson,
    value_or_reason,
)
from holdfast.metrics.relation import Relation, relations

LOG_SIZE, GAIN = "log size", "gain"
"""Covariates: the logarithm of the relative size of the update, and what was gained on the target."""


@dataclass(frozen=True)
class Related:
    """Measured checkpoints, and what their geometry has to do with what they forgot.

    Attributes:
        found: The checkpoints.
        relations: Measures against forgetting: the size of the update first, as what others are held against, then the
            strongest; those without a correlation last.
        with_gain: Measure -> Pearson's r with the gain, which many a measure goes with too.
    """

    found: Foretelling
    relations: tuple[Relation, ...]
    with_gain: Mapping[str, Estimate | Undefined]

    @property
    def size(self) -> Relation:
        """The relation of the size of the update."""
        return self.relations[0]

    @property
    def others(self) -> tuple[Relation, ...]:
        """The relations of all measures but the size of the update."""
        return self.relations[1:]

    @property
    def families(self) -> dict[str, list[Measured]]:
        """Method -> its checkpoints, in the order in which they were measured."""
        found: dict[str, list[Measured]] = {}
        for row in self.found.checkpoints:
            found.setdefault(row.family, []).append(row)
        return found


def related(found: Foretelling, resamples: int = 10_000) -> Related:
    """Every measure against forgetting, given the size of the update and the gain.

    Measures that some checkpoint lacks have no relation: `missing` names them.

    Args:
        found: The checkpoints.
        resamples: How many redraws, and how many random permutations where not all can be tried.

    Raises:
        NotMeasurable: If there are fewer than three checkpoints, or all forgot the same.
    """
    rows = found.checkpoints
    if len(rows) < FEWEST_CHECKPOINTS:
        without = "".join(f"; not measured: {line}" for line in left_out(found))
        raise NotMeasurable(
            f"a correlation needs at least {FEWEST_CHECKPOINTS} measured checkpoints, found {len(rows)}{without}"
        )
    measures = {name: [row.measures[name] for row in rows] for name in _everywhere(found)}
    gain, families, seeds = [row.gain for row in rows], [row.family for row in rows], [row.seed for row in rows]
    draws = np.array([row.forgetting_draws for row in rows]).T if all(row.forgetting_draws for row in rows) else None
    unsorted = relations(
        measures,
        [row.forgetting for row in rows],
        families,
        covariates={LOG_SIZE: np.log(measures[SIZE]), GAIN: gain},
        outcome_draws=draws,
        seeds=seeds,
        resamples=resamples,
    )
    redraws = redraw(Cohort(np.asarray(gain), families, seeds=seeds), resamples)
    return Related(
        found=found,
        relations=tuple(sorted(unsorted, key=_rank)),
        with_gain={
            name: value_or_reason(partial(estimate_pearson, np.asarray(values), redraws))
            for name, values in measures.items()
        },
    )


def missing(found: Foretelling) -> tuple[str, ...]:
    """Measures that are not defined for every checkpoint."""
    tried = {name for row in found.checkpoints for name in row.measures}
    return tuple(sorted(tried - set(_everywhere(found))))


def left_out(found: Foretelling) -> tuple[str, ...]:
    """A line for each reason why runs or checkpoints were not measured, with their names."""
    grouped: dict[str, list[LeftOut]] = {}
    for each in found.left_out:
        grouped.setdefault(each.reason, []).append(each)
    return tuple(f"{', '.join(map(_named, group))} ({reason})" for reason, group in grouped.items())


def _rank(relation: Relation) -> tuple[bool, bool, float]:
    r = relation.pearson
    undefined = isinstance(r, Undefined)
    return relation.measure != SIZE, undefined, 0.0 if isinstance(r, Undefined) else -abs(r.value)


def _named(each: LeftOut) -> str:
    return f"{each.family} seed {each.seed}" + ("" if each.step is None else f" step {each.step}")


def _everywhere(found: Foretelling) -> tuple[str, ...]:
    first, *others = (row.measures for row in found.checkpoints)
    return tuple(name for name in first if all(name in row for row in others))
