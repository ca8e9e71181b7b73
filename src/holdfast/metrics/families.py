"""Whether a relation is a matter of one family: leave families out, predict them, exchange their outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.cohort import FEWEST_FAMILIES, Cohort
from holdfast.metrics.correlation import Undefined, pearson, spearman, value_or_reason
from holdfast.metrics.interval import ROUNDING
from holdfast.metrics.weighted_correlation import is_constant, weighted_correlation, weighted_midranks

MOST_FAMILIES_FOR_EXACT_PERMUTATIONS: Final = 7


@dataclass(frozen=True)
class Without:
    """Correlations over all families but these."""

    families: tuple[str, ...]
    pearson: float | Undefined
    spearman: float | Undefined


@dataclass(frozen=True)
class LeaveOneOut:
    """How a relation fares without each family in turn.

    Attributes:
        without: One line a family, in the order of names.
        smallest_pearson: The smallest absolute r among them.
        smallest_spearman: The smallest absolute rho among them.
        pearson_turned_by: The fewest families without which r has the other sign: every one that does it alone; if
            none does, every two that do it together; empty if no two do.
        spearman_turned_by: The same for rho.
    """

    without: tuple[Without, ...]
    smallest_pearson: float | Undefined
    smallest_spearman: float | Undefined
    pearson_turned_by: tuple[tuple[str, ...], ...]
    spearman_turned_by: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Permuted:
    """How often chance does as well.

    Attributes:
        p: Share of the permutations with an absolute rho at least as large; never below 1 / permutations.
        permutations: How many there are, the data as they are among them.
        exact: Whether these are all there are.
    """

    p: float
    permutations: int
    exact: bool


def leave_one_family_out(measure: Float[np.ndarray, " checkpoints"], cohort: Cohort) -> LeaveOneOut:
    """The relation without each family in turn, and the fewest families that carry its sign.

    Families are left out in twos where no single one turns the sign and at least five are there, so that three remain.

    Args:
        measure: One number a checkpoint.
        cohort: The checkpoints.

    Returns:
        All correlations without one family.

    Raises:
        NotMeasurable: If there is a single family, or the correlation of all of them is undefined.
    """
    families = _at_least_two(cohort)
    r, rho = pearson(measure, cohort.outcome), spearman(measure, cohort.outcome)
    ones = [_without((family,), measure, cohort) for family in families]
    twos = []
    if len(families) >= FEWEST_FAMILIES:
        twos = [_without(pair, measure, cohort) for pair in combinations(families, 2)]
    return LeaveOneOut(
        without=tuple(ones),
        smallest_pearson=_smallest([line.pearson for line in ones]),
        smallest_spearman=_smallest([line.spearman for line in ones]),
        pearson_turned_by=_turned(r, {line.families: line.pearson for line in [*ones, *twos]}),
        spearman_turned_by=_turned(rho, {line.families: line.spearman for line in [*ones, *twos]}),
    )


def left_out_r_squared(cohort: Cohort, predictor: Float[np.ndarray, " checkpoints"] | None = None) -> float:
    """How well the outcome of a family is foretold by a straight line through all other families.

    1 minus the squared errors of all checkpoints, each foretold without its family, over their squared distances from
    the mean outcome. At most 1; the mean of the other families gets 0 or less, so compare with that and not with 0.

    Args:
        cohort: The checkpoints.
        predictor: One number a checkpoint; the mean of the other families when left out.

    Returns:
        The share of the variance foretold; negative where the prediction is worse than the mean of all.

    Raises:
        NotMeasurable: If there is a single family, the outcome is constant, or the predictor is constant in all
            families but one, so that there is no line.
    """
    _at_least_two(cohort)
    if is_constant(cohort.outcome):
        raise NotMeasurable(
            f"undefined: the outcome is {cohort.outcome[0]:.6g} in all {cohort.outcome.size} checkpoints"
        )
    if predictor is not None:
        predictor = cohort.columns({"the predictor": predictor})["the predictor"]
    errors = np.empty_like(cohort.outcome)
    for family, indices in cohort.members.items():
        kept = cohort.kept_without([family])
        foretold = cohort.outcome[kept].mean()
        errors[indices] = cohort.outcome[indices] - foretold
        if predictor is not None:
            if is_constant(predictor[kept]):
                raise NotMeasurable(
                    f"undefined: without {family} the predictor is {predictor[kept[0]]:.6g} in all checkpoints"
                )
            centred = predictor - predictor[kept].mean()
            slope = (centred[kept] @ (cohort.outcome[kept] - foretold)) / (centred[kept] @ centred[kept])
            errors[indices] -= slope * centred[indices]
    spread = cohort.outcome - cohort.outcome.mean()
    return float(1 - (errors @ errors) / (spread @ spread))


def permutation_p(
    measure: Float[np.ndarray, " checkpoints"], cohort: Cohort, resamples: int = 10_000, seed: int = 0
) -> Permuted:
    """Chance of a rank correlation at least this strong if families had come by their outcomes at random.

    The mean outcomes of families change places, and what sets each checkpoint apart from its family stays with it, so
    that families may differ in size, and their order within does not matter. A link that runs within families alone is
    there in every permutation and is no evidence; exchanging whole blocks of outcomes would break it up and count it.
    Exact where family means are exchangeable, nearly so where their noise differs because sizes do.
    The statistic is Spearman's rho, whatever else is reported.
    All permutations up to 7 families; beyond that random ones, of which the data as they are count as one.

    Args:
        measure: One number a checkpoint.
        cohort: The checkpoints.
        resamples: How many random permutations, where not all are tried.
        seed: Seed of the permutations.

    Returns:
        The two-sided p-value; with three families it cannot be below 1 / 6, with four not below 1 / 24.

    Raises:
        NotMeasurable: If there is a single family, or the correlation is undefined.
    """
    families = _at_least_two(cohort)
    spearman(measure, cohort.outcome)
    exact = len(families) <= MOST_FAMILIES_FOR_EXACT_PERMUTATIONS
    if exact:
        orders = np.array(list(permutations(range(len(families)))))
    else:
        dealt = np.tile(np.arange(len(families)), (resamples + 1, 1))
        orders = np.concatenate([dealt[:1], np.random.default_rng(seed).permuted(dealt[1:], axis=1)])
    outcomes = _exchanged(cohort, orders)
    counts = np.ones(outcomes.shape)
    # Sums that put a family's mean back where it came from must not break ties by rounding.
    slack = ROUNDING * float(np.abs(cohort.outcome).max())
    ranks = weighted_midranks(np.asarray(measure, np.float64), counts[0])
    strengths = np.abs(weighted_correlation([ranks, weighted_midranks(outcomes, counts, slack)], counts))
    # The first order is the data as they are.
    return Permuted(float((strengths >= strengths[0] - ROUNDING).mean()), len(orders), exact)


def _at_least_two(cohort: Cohort) -> tuple[str, ...]:
    families = tuple(cohort.members)
    if len(families) < 2:
        raise NotMeasurable(f"undefined: needs at least two families, found {len(families)}")
    return families


def _without(families: tuple[str, ...], measure: Float[np.ndarray, " checkpoints"], cohort: Cohort) -> Without:
    kept = cohort.kept_without(families)
    one, other = np.asarray(measure, np.float64)[kept], cohort.outcome[kept]
    return Without(
        families, value_or_reason(lambda: pearson(one, other)), value_or_reason(lambda: spearman(one, other))
    )


def _smallest(found: Sequence[float | Undefined]) -> float | Undefined:
    numbers = [abs(value) for value in found if not isinstance(value, Undefined)]
    return min(numbers) if numbers else found[0]


def _turned(value: float, without: dict[tuple[str, ...], float | Undefined]) -> tuple[tuple[str, ...], ...]:
    """The smallest sets of families without which a correlation has the other sign."""
    turned = [
        families
        for families, found in without.items()
        if not isinstance(found, Undefined) and min(abs(found), abs(value)) > ROUNDING and found * value < 0
    ]
    fewest = min(map(len, turned), default=0)
    return tuple(families for families in turned if len(families) == fewest)


def _exchanged(
    cohort: Cohort, orders: Int[np.ndarray, "permutations families"]
) -> Float[np.ndarray, "permutations checkpoints"]:
    """Outcomes when the i-th family has the mean of the ``orders[:, i]``-th."""
    members = list(cohort.members.values())
    means = np.array([cohort.outcome[indices].mean() for indices in members])
    outcomes = np.empty((len(orders), cohort.outcome.size))
    for column, indices in enumerate(members):
        outcomes[:, indices] = means[orders[:, [column]]] + (cohort.outcome[indices] - means[column])
    return outcomes
