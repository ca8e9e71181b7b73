"""Does a measure foretell forgetting? Everything that must be told beside a correlation, for every measure tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.cohort import MEAN, Cohort, Redraws, redraw
from holdfast.metrics.correlation import (
    FEWEST_CHECKPOINTS,
    Estimate,
    Undefined,
    estimate_pearson,
    estimate_spearman,
    value_or_reason,
)
from holdfast.metrics.families import LeaveOneOut, Permuted, leave_one_family_out, left_out_r_squared, permutation_p
from holdfast.metrics.significance import holm
from holdfast.metrics.weighted_correlation import is_constant


@dataclass(frozen=True)
class Partial:
    """Spearman's rho with covariates held fixed.

    Attributes:
        given: Names of the covariates.
        spearman: What is left of it; for a measure that stands in for them nearly nothing.
    """

    given: tuple[str, ...]
    spearman: Estimate | Undefined


@dataclass(frozen=True)
class Prediction:
    """How well something foretells the outcome of families it has not seen.

    Attributes:
        predictor: Name of the measure or covariate, or ``mean``.
        r_squared: From `families.left_out_r_squared`.
    """

    predictor: str
    r_squared: float | Undefined


@dataclass(frozen=True)
class Relation:
    """One measure against one outcome, ready to be printed.

    Attributes:
        measure: Name of the measure.
        checkpoints: How many checkpoints.
        families: From how many families.
        seeds: From how many training seeds; absent if they were not given.
        indicative: Whether there are fewer than five families, so that intervals only hint.
        level: Confidence level of all intervals.
        redraws: How many redraws they rest on.
        outcome_noise_included: Whether the intervals cover other evaluation items.
        pearson: Pearson's r.
        spearman: Spearman's rho.
        partials: Spearman's rho given each covariate, then given all of them.
        left_out: The correlations without each family, and who carries the sign.
        prediction: How well the measure foretells families left out.
        baselines: The same for the mean, then for each covariate alone.
        permuted: How often chance does as well.
        adjusted_p: Its p-value after Holm, over all measures tried.
    """

    measure: str
    checkpoints: int
    families: int
    seeds: int | None
    indicative: bool
    level: float
    redraws: int
    outcome_noise_included: bool
    pearson: Estimate | Undefined
    spearman: Estimate | Undefined
    partials: tuple[Partial, ...]
    left_out: LeaveOneOut | Undefined
    prediction: Prediction
    baselines: tuple[Prediction, ...]
    permuted: Permuted | Undefined
    adjusted_p: float | Undefined


def relations(
    measures: Mapping[str, ArrayLike],
    outcome: ArrayLike,
    families: Sequence[str],
    *,
    covariates: Mapping[str, ArrayLike] | None = None,
    outcome_draws: ArrayLike | None = None,
    seeds: Sequence[int] | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Relation, ...]:
    """Every measure against one outcome.

    Give all measures that were tried: p-values are adjusted for their number. A measure that is undefined, such as one
    that is the same everywhere, keeps its place with the reason, and counts as tried.

    Args:
        measures: Name -> one number a checkpoint.
        outcome: One number a checkpoint, such as forgetting.
        families: The family of each checkpoint: one way of fine-tuning, with all its seeds and steps.
        covariates: Name -> one number a checkpoint, to be held fixed and to predict alone: the logarithm of the
            relative size of the update, the target gain.
        outcome_draws: Bootstrap draws of the outcome, each row from the same items for all checkpoints.
        seeds: The training seed of each checkpoint; they are counted.
        resamples: How many redraws, and how many random permutations where not all can be tried.
        level: Share of repetitions in which an interval should hold the truth.
        seed: Seed of redraws and permutations.

    Returns:
        One relation a measure, in the order given.

    Raises:
        NotMeasurable: If there are fewer than three checkpoints, or the outcome is constant.
        UnusableScores: If numbers are missing or not finite; names every measure at fault.
    """
    cohort = Cohort(
        np.asarray(outcome, dtype=np.float64),
        families,
        {name: np.asarray(values, dtype=np.float64) for name, values in (covariates or {}).items()},
        None if outcome_draws is None else np.asarray(outcome_draws, dtype=np.float64),
        seeds,
    )
    described = cohort.columns({f"measure '{name}'": values for name, values in measures.items()})
    columns = dict(zip(measures, described.values(), strict=True))
    checkpoints = cohort.outcome.size
    if checkpoints < FEWEST_CHECKPOINTS:
        raise NotMeasurable(f"undefined: needs at least {FEWEST_CHECKPOINTS} checkpoints, found {checkpoints}")
    if is_constant(cohort.outcome):
        raise NotMeasurable(f"undefined: the outcome is {cohort.outcome[0]:.6g} in all {checkpoints} checkpoints")
    redraws = redraw(cohort, resamples, seed)
    baselines = (
        Prediction(MEAN, value_or_reason(partial(left_out_r_squared, cohort))),
        *(Prediction(name, _foretold(cohort, column)) for name, column in cohort.covariates.items()),
    )
    permuted = [value_or_reason(partial(permutation_p, column, cohort, resamples, seed)) for column in columns.values()]
    # What could not be tested was tried all the same.
    adjusted = holm([1.0 if isinstance(chance, Undefined) else chance.p for chance in permuted])
    return tuple(
        Relation(
            measure=name,
            checkpoints=checkpoints,
            families=len(cohort.members),
            seeds=None if cohort.seeds is None else len(set(cohort.seeds)),
            indicative=cohort.indicative,
            level=level,
            redraws=resamples,
            outcome_noise_included=cohort.outcome_draws is not None,
            pearson=value_or_reason(partial(estimate_pearson, column, redraws, level)),
            spearman=value_or_reason(partial(estimate_spearman, column, redraws, level)),
            partials=_partials(column, redraws, level),
            left_out=value_or_reason(partial(leave_one_family_out, column, cohort)),
            prediction=Prediction(name, _foretold(cohort, column)),
            baselines=baselines,
            permuted=chance,
            adjusted_p=chance if isinstance(chance, Undefined) else float(p),
        )
        for (name, column), chance, p in zip(columns.items(), permuted, adjusted, strict=True)
    )


def _foretold(cohort: Cohort, predictor: Float[np.ndarray, " checkpoints"]) -> float | Undefined:
    return value_or_reason(partial(left_out_r_squared, cohort, predictor))


def _partials(column: Float[np.ndarray, " checkpoints"], redraws: Redraws, level: float) -> tuple[Partial, ...]:
    names = tuple(redraws.cohort.covariates)
    held = [(name,) for name in names] + ([names] if len(names) > 1 else [])
    return tuple(
        Partial(given, value_or_reason(partial(estimate_spearman, column, redraws, level, given))) for given in held
    )
