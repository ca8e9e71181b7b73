"""How far two plans of one model agree, beside what chance, depth alone and module type alone would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Int
from scipy.stats import rankdata

from holdfast.core.errors import HoldfastError, NotMeasurable
from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.core.record import Record
from holdfast.methods.small_to_large.places import Place, place_of
from holdfast.metrics.interval import ROUNDING
from holdfast.metrics.weighted_correlation import is_constant

Control = Literal["random", "same_depth_profile", "same_type_profile"]

GROUPS: Final[Mapping[Control, Callable[[Place], object]]] = {
    "random": lambda place: None,
    # Tensors outside of layers are of no depth: they change places among themselves.
    "same_depth_profile": lambda place: place.layer,
    "same_type_profile": lambda place: place.kind,
}
"""Among which tensors a control shuffles what was mapped."""

FEWEST_TENSORS: Final = 3


def agreement(
    plan: ParameterPlan, own: ParameterPlan, *, permutations: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[Record, ...]:
    """Spearman of the scores and Jaccard of the chosen sets, each beside three controls.

    A control shuffles scores and choice of the plan together: among all tensors (``random``), among the tensors of a
    layer, so that each layer keeps what it has and module types are lost (``same_depth_profile``), or among the tensors
    of a type, so that depth is lost (``same_type_profile``). What a plan knows beyond depth shows in its distance from
    the second, what it knows beyond type in that from the third.

    Args:
        plan: The plan in question, such as one that was mapped.
        own: The plan that a probe of the same model made.
        permutations: How many shuffles of each kind.
        level: Share of the shuffles within the interval of a control.
        seed: Of the shuffles.

    Returns:
        Records: ``spearman`` over tensors that are eligible in both plans, ``jaccard`` of the chosen sets; of each the
        value of the subject ``plan``, and mean and permutation interval of each control. ``permutation_p/spearman`` and
        ``permutation_p/jaccard`` of a control say how often it did at least as well, the plan itself counted as one of
        its shuffles. Counts say what only one plan has.

    Raises:
        HoldfastError: If the plans share no tensor, so that they are not of one model.
        ValueError: If there are no permutations or the level is not within 0 and 1.
    """
    if permutations < 1 or not 0 < level < 1:
        raise ValueError(f"permutations from 1 and a level within 0 and 1 are needed, found {permutations}, {level:g}")
    mine = {tensor.name: tensor for tensor in plan.tensors}
    theirs = {tensor.name: tensor for tensor in own.tensors}
    common = [name for name in mine if name in theirs]
    if not common:
        first, second = next(iter(mine), "nothing"), next(iter(theirs), "nothing")
        raise HoldfastError(
            f"the two plans share no tensor (one begins with '{first}', the other with '{second}'): are they of the "
            "same model?"
        )
    records = [
        Record(subject="plan", quantity="common_tensors", value=len(common)),
        Record(subject="plan", quantity="tensors_only_here", value=len(mine) - len(common)),
        Record(subject="own", quantity="tensors_only_here", value=len(theirs) - len(common)),
    ]
    measures: dict[str, Callable[[], _Measure]] = {
        "spearman": lambda: _orders([mine[name] for name in common], [theirs[name] for name in common]),
        "jaccard": lambda: _sets(list(mine.values()), {tensor.name for tensor in own.chosen}),
    }
    for quantity, make in measures.items():
        try:
            measure = make()
        except NotMeasurable as reason:
            records += [Record(subject=subject, quantity=quantity, reason=str(reason)) for subject in ("plan", *GROUPS)]
            continue
        value = measure.of(np.arange(len(measure.places)))
        records.append(Record(subject="plan", quantity=quantity, value=value))
        for control, group in GROUPS.items():
            rng = np.random.default_rng(seed)
            members = _members([group(place) for place in measure.places])
            found = np.array([measure.of(_shuffled(members, rng)) for _ in range(permutations)])
            low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
            as_good = 1 + int((found >= value - ROUNDING).sum())
            records += [
                Record(subject=control, quantity=quantity, value=float(found.mean()), spread=(float(low), float(high))),
                Record(
                    subject=control,
                    quantity=f"permutation_p/{quantity}",
                    value=as_good / (1 + permutations),
                    unit="frac",
                ),
            ]
    return tuple(records)


@dataclass(frozen=True, eq=False)
class _Measure:
    """How well a plan agrees when its tensors take each other's places; ``of`` takes whose place each one takes."""

    places: list[Place]
    of: Callable[[Int[np.ndarray, " tensors"]], float]


def _orders(plan: Sequence[PlannedTensor], own: Sequence[PlannedTensor]) -> _Measure:
    """Spearman's rho over the same tensors of both."""
    scores = [[tensor.score for tensor in side] for side in (plan, own)]
    if any(score is None for side in scores for score in side):
        raise NotMeasurable("undefined: a plan has no scores, so that there is no order to compare")
    columns = [np.array(side, dtype=np.float64) for side in scores]
    if len(plan) < FEWEST_TENSORS:
        raise NotMeasurable(
            f"undefined: an order needs {FEWEST_TENSORS} tensors that are in both plans, found {len(plan)}"
        )
    if any(is_constant(column) for column in columns):
        raise NotMeasurable("undefined: all tensors of a plan have the same score, so that there is no order")
    ranks = [rankdata(column) - (len(column) + 1) / 2 for column in columns]
    one, other = (side / np.linalg.norm(side) for side in ranks)
    return _Measure([place_of(tensor.name) for tensor in plan], lambda order: float(one[order] @ other))


def _sets(plan: Sequence[PlannedTensor], own: Set[str]) -> _Measure:
    """Jaccard of what is chosen, of all that either plan chose."""
    chosen = np.array([tensor.chosen for tensor in plan])
    wanted = np.array([tensor.name in own for tensor in plan])
    either = int(chosen.sum()) + len(own)
    if not either:
        raise NotMeasurable("undefined: neither plan has chosen a tensor")

    def jaccard(order: Int[np.ndarray, " tensors"]) -> float:
        both = int((chosen[order] & wanted).sum())
        return both / (either - both)

    return _Measure([place_of(tensor.name) for tensor in plan], jaccard)


def _members(groups: Sequence[object]) -> list[Int[np.ndarray, " members"]]:
    return [np.array([at for at, group in enumerate(groups) if group == one]) for one in dict.fromkeys(groups)]


def _shuffled(members: Sequence[Int[np.ndarray, " members"]], rng: np.random.Generator) -> Int[np.ndarray, " tensors"]:
    order = np.empty(sum(map(len, members)), dtype=np.int64)
    for group in members:
        order[group] = rng.permutation(group)
    return order
