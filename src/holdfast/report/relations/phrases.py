"""How correlations are written for people, and when one counts as found."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.metrics.relation import Relation
from holdfast.report.relations.analysis import LOG_SIZE
from holdfast.report.relations.measures import PUBLISHED
from holdfast.report.wording import number, signed

STANDS = "is the size"
"""Stands where the size of the update would be held fixed against itself."""


def correlation(found: Estimate | Undefined) -> str:
    """A correlation with its interval, or why there is none."""
    return found.reason if isinstance(found, Undefined) else f"{signed(found.value, 2)} {between(found)}"


def between(found: Estimate) -> str:
    """The interval of a correlation."""
    return f"[{signed(found.spread.low, 2)}, {signed(found.spread.high, 2)}]"


def plain(found: float | Undefined, digits: int = 2) -> str:
    """A number, or why there is none."""
    return found.reason if isinstance(found, Undefined) else number(found, digits)


def published(measure: str) -> str:
    """The correlation that was published of a measure, if there is one."""
    return signed(PUBLISHED[measure]) if measure in PUBLISHED else ""


def given(relation: Relation, *names: str) -> Estimate | Undefined:
    """Spearman's rho with these covariates held fixed."""
    return next(each.spearman for each in relation.partials if each.given == names)


def by_size(relation: Relation) -> float | Undefined:
    """How well the logarithm of the size alone foretells methods left out."""
    return next(each.r_squared for each in relation.baselines if each.predictor == LOG_SIZE)


def turning(relation: Relation, methods: int | None = None) -> tuple[str, ...]:
    """Methods without which r has the other sign, such as ``lora`` or ``adalora and full``.

    Args:
        relation: Of a measure.
        methods: How many are left out together; any number when left out.
    """
    if isinstance(relation.left_out, Undefined):
        return ()
    turned = relation.left_out.pearson_turned_by
    return tuple(sorted(" and ".join(names) for names in turned if methods is None or len(names) == methods))


def found_with_forgetting(relation: Relation) -> bool:
    """Whether the measure goes with forgetting by its adjusted p, and the interval of r agrees."""
    r, p = relation.pearson, relation.adjusted_p
    if isinstance(r, Undefined) or isinstance(p, Undefined):
        return False
    return p <= 1 - relation.level and r.spread.excludes_zero


def found_given_size(relation: Relation) -> bool:
    """Whether it does so too, and in the same direction, with the size of the update held fixed."""
    rho, held = relation.spearman, given(relation, LOG_SIZE)
    if isinstance(rho, Undefined) or isinstance(held, Undefined) or not found_with_forgetting(relation):
        return False
    return held.spread.excludes_zero and held.value * rho.value > 0


def defined(relations: Sequence[Relation]) -> list[Relation]:
    """Those whose correlation is defined."""
    return [relation for relation in relations if not isinstance(relation.pearson, Undefined)]
