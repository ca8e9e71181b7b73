"""The table of the page: a row a measure, with everything that its correlation needs beside it."""

from __future__ import annotations

from holdfast.core.foretelling import SIZE
from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.metrics.relation import Relation
from holdfast.report.diagnosis.ledger import Ledger, Row
from holdfast.report.ledger import Cell, Column
from holdfast.report.relations.analysis import GAIN, LOG_SIZE, Related
from holdfast.report.relations.measures import PUBLISHED, measure_of, title_of
from holdfast.report.relations.phrases import STANDS, between, given, plain, published, turning
from holdfast.report.wording import NONE, number, signed, typeset

GROUPS = (
    (
        "with forgetting",
        (
            ("r", "Pearson's r and its interval; sorts by strength"),
            ("rho", "Spearman's rho and its interval; sorts by strength"),
            ("published r", "What PEFT-Arena prints (arXiv 2605.28819)"),
        ),
    ),
    (
        "rho, held fixed",
        (
            ("size", "Spearman's rho with the size of the update held fixed"),
            ("size and gain", "Spearman's rho with the size of the update and the gain held fixed"),
        ),
    ),
    (
        "methods left out",
        (
            ("smallest |r|", "The smallest |r| when a whole method is left out, and whose absence turns the sign"),
            ("R²", "How well methods that were left out are foretold; 0 or less is no better than their mean"),
        ),
    ),
    ("chance", (("p", "By permutation of the methods, adjusted for all measures of this table"),)),
)
MOST_TURNING = 2
"""Of methods that carry a sign so many are named in the cell; the tip names all."""


def ledger_of(related: Related) -> Ledger:
    """The table, in the order of the panels."""
    columns = tuple(
        Column(title, hint, first=not place) for _, group in GROUPS for place, (title, hint) in enumerate(group)
    )
    rows = tuple(Row(title_of(each.measure), each.measure, _cells(each)) for each in related.relations)
    return Ledger(tuple((heading, len(group)) for heading, group in GROUPS), columns, rows)


def meanings(related: Related) -> list[tuple[str, str]]:
    """Title and meaning of every measure of the table that has one."""
    known = (measure_of(each.measure) for each in related.relations)
    return [(each.title, each.meaning) for each in known if each.meaning]


def _cells(relation: Relation) -> tuple[Cell, ...]:
    size = Cell(STANDS) if relation.measure == SIZE else None
    return (
        _estimate(relation.pearson, relation.redraws),
        _estimate(relation.spearman, relation.redraws),
        Cell(typeset(published(relation.measure)), (), PUBLISHED.get(relation.measure)),
        size or _estimate(given(relation, LOG_SIZE), relation.redraws),
        size or _estimate(given(relation, LOG_SIZE, GAIN), relation.redraws),
        _without_one(relation),
        _number(relation.prediction.r_squared, 2),
        _number(relation.adjusted_p, 3),
    )


def _estimate(found: Estimate | Undefined, redraws: int) -> Cell:
    if isinstance(found, Undefined):
        return _undefined(found)
    tip = f"undefined in {found.undefined_redraws:,} of {redraws:,} redraws" if found.undefined_redraws else ""
    return Cell(typeset(signed(found.value, 2)), (typeset(between(found)),), abs(found.value), tip)


def _number(found: float | Undefined, digits: int) -> Cell:
    return _undefined(found) if isinstance(found, Undefined) else Cell(typeset(number(found, digits)), (), found)


def _without_one(relation: Relation) -> Cell:
    if isinstance(relation.left_out, Undefined):
        return _undefined(relation.left_out)
    smallest, turned = relation.left_out.smallest_pearson, turning(relation)
    if isinstance(smallest, Undefined):
        return _undefined(smallest)
    shown = list(turned[:MOST_TURNING]) + ([f"{len(turned) - MOST_TURNING} more"] if turned[MOST_TURNING:] else [])
    below = tuple(f"turns without {names}" if not place else f"or {names}" for place, names in enumerate(shown))
    tip = f"the sign of r turns without {', or without '.join(turned)}" if turned else ""
    return Cell(plain(smallest), below, smallest, tip)


def _undefined(found: Undefined) -> Cell:
    return Cell(NONE, (), None, found.reason)
