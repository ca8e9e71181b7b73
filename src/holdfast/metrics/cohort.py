"""Checkpoints that come in families, and the cohorts that could have been drawn instead.

A family is one way of fine-tuning, with all its seeds and steps. Checkpoints of one family resemble each other, so that
thirty checkpoints of five families are nearer to five observations than to thirty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.tradeoff import UnusableScores
from holdfast.metrics.weighted_correlation import scaled, weighted_midranks

FEWEST_FAMILIES: Final = 5
"""With fewer families than this, whatever is said of them is indicative."""

MEAN: Final = "mean"
"""Name of the prediction that knows the outcomes of other families and nothing else."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Checkpoints, their families, and what became of them.

    Attributes:
        outcome: One number a checkpoint, such as forgetting.
        families: The family of each checkpoint.
        covariates: Name -> one number a checkpoint, to be held fixed: the logarithm of the relative size of the update,
            the target gain.
        outcome_draws: Bootstrap draws of the outcome, one row a draw, each row from the same items for all checkpoints.
        seeds: The training seed of each checkpoint; they are counted, not resampled.
    """

    outcome: Float[np.ndarray, " checkpoints"]
    families: Sequence[str]
    covariates: Mapping[str, Float[np.ndarray, " checkpoints"]] = field(default_factory=dict)
    outcome_draws: Float[np.ndarray, "draws checkpoints"] | None = None
    seeds: Sequence[int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "outcome", _frozen(self.outcome))
        object.__setattr__(self, "families", tuple(map(str, self.families)))
        covariates = {name: _frozen(values) for name, values in self.covariates.items()}
        object.__setattr__(self, "covariates", MappingProxyType(covariates))
        if self.outcome_draws is not None:
            object.__setattr__(self, "outcome_draws", _frozen(self.outcome_draws))
        if faults := _faults(self):
            raise UnusableScores("; ".join(faults))

    @property
    def members(self) -> dict[str, Int[np.ndarray, " members"]]:
        """Family -> indices of its checkpoints, families in the order of their names."""
        labels = np.array(self.families, dtype=object)
        return {family: np.flatnonzero(labels == family) for family in sorted(set(self.families))}

    @property
    def indicative(self) -> bool:
        """Whether there are too few families for more than an indication."""
        return len(set(self.families)) < FEWEST_FAMILIES

    def kept_without(self, left_out: Iterable[str]) -> Int[np.ndarray, " kept"]:
        """Indices of the checkpoints of all other families."""
        gone = set(left_out)
        return np.flatnonzero([family not in gone for family in self.families])

    def columns(self, named: Mapping[str, ArrayLike]) -> dict[str, Float[np.ndarray, " checkpoints"]]:
        """Measures of these checkpoints as arrays.

        Args:
            named: Name -> one number a checkpoint.

        Returns:
            The same, in the same order.

        Raises:
            UnusableScores: If numbers are missing or not finite; names every measure at fault.
        """
        columns = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
        if faults := column_faults(columns, self.outcome.size):
            raise UnusableScores("; ".join(faults))
        return columns


@dataclass(frozen=True, eq=False)
class Redraws:
    """Cohorts drawn from a cohort with replacement; the same ones for every measure.

    Attributes:
        cohort: The data as they are.
        counts: How often each checkpoint was drawn.
        outcome: The outcome in each redraw, stretched to [0, 1]; a single row where its noise is not known.
        outcome_ranks: Its ranks among the checkpoints drawn.
        covariate_ranks: Covariate -> its ranks among the checkpoints drawn.
    """

    cohort: Cohort
    counts: Float[np.ndarray, "redraws checkpoints"]
    outcome: Float[np.ndarray, "#redraws checkpoints"]
    outcome_ranks: Float[np.ndarray, "redraws checkpoints"]
    covariate_ranks: Mapping[str, Float[np.ndarray, "redraws checkpoints"]]


def redraw(cohort: Cohort, resamples: int = 10_000, seed: int = 0) -> Redraws:
    """Draw as many families as there are, then from each as many checkpoints as it has, again and again.

    Drawing on both levels counts what varies within families twice (Davison and Hinkley 1997, section 3.8), and draws
    of the outcome add noise that the outcomes already have: both widen the intervals, and the second pulls their middle
    towards 0. Few families pull the other way: with one checkpoint each, 95 % means about 90 % for Pearson's r. Seeds
    and steps of one family are drawn as if they were independent.

    The draws depend on the seed and on the names and sizes of the families, not on the order of families.
    Memory: some ten times resamples x checkpoints numbers.

    Args:
        cohort: The checkpoints.
        resamples: How many times to draw.
        seed: Seed of the draws.

    Returns:
        The redraws. Those in which a column does not vary have no correlation, and estimates count them.

    Raises:
        NotMeasurable: If there is no checkpoint.
        ValueError: If no resamples are asked for.
    """
    if resamples < 1:
        raise ValueError(f"at least one resample is needed, asked for {resamples}")
    if not cohort.families:
        raise NotMeasurable("undefined: there is no checkpoint")
    generator = np.random.default_rng(seed)
    members = cohort.members
    times = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), size=resamples)
    counts = np.empty((resamples, cohort.outcome.size))
    for column, indices in enumerate(members.values()):
        shares = np.full(indices.size, 1 / indices.size)
        counts[:, indices] = generator.multinomial(times[:, column] * indices.size, shares)
    outcome = cohort.outcome[np.newaxis]
    if cohort.outcome_draws is not None:
        outcome = cohort.outcome_draws[generator.integers(len(cohort.outcome_draws), size=resamples)]
    return Redraws(
        cohort=cohort,
        counts=counts,
        outcome=scaled(outcome),
        outcome_ranks=weighted_midranks(outcome, counts),
        covariate_ranks={name: weighted_midranks(column, counts) for name, column in cohort.covariates.items()},
    )


def column_faults(columns: Mapping[str, Float[np.ndarray, " checkpoints"]], checkpoints: int) -> list[str]:
    """Everything that keeps columns from being one finite number a checkpoint, by name."""
    faults = []
    for name, column in columns.items():
        if column.shape != (checkpoints,):
            faults.append(f"{name}: needs one number for each of {checkpoints} checkpoints, found shape {column.shape}")
        elif (bad := np.flatnonzero(~np.isfinite(column))).size:
            faults.append(
                f"{name}: {bad.size} of {checkpoints} numbers are not finite, the first at index {bad[0]}; leave these "
                f"checkpoints out, for all measures alike"
            )
    return faults


def _frozen(values: ArrayLike) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _faults(cohort: Cohort) -> list[str]:
    """Everything that keeps a cohort from being used."""
    checkpoints = len(cohort.families)
    faults = column_faults({"outcome": cohort.outcome}, checkpoints)
    faults += column_faults({f"covariate '{name}'": column for name, column in cohort.covariates.items()}, checkpoints)
    if MEAN in cohort.covariates:
        faults.append(f"covariate '{MEAN}': the name is that of a prediction; give another")
    if cohort.seeds is not None and len(cohort.seeds) != checkpoints:
        faults.append(f"seeds: needs one for each of {checkpoints} checkpoints, found {len(cohort.seeds)}")
    draws = cohort.outcome_draws
    if draws is not None:
        if draws.ndim != 2 or draws.shape[0] == 0 or draws.shape[1] != checkpoints:
            faults.append(f"outcome draws: need shape (draws, {checkpoints}), found {draws.shape}")
        elif not np.isfinite(draws).all():
            faults.append("outcome draws: some are not finite")
    return faults
