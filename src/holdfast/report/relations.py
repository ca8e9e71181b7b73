"""Whether geometry foretells forgetting, as a table that says everything a correlation needs beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from holdfast.core.foretelling import SIZE, Foretelling, LeftOut
from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.metrics.relation import Relation, relations

PUBLISHED = {
    "procrustes_residual/general": 0.711,
    "gram_cosine_distance/general": 0.485,
    "cka_biased/general": -0.761,
    "drift_relative/general": 0.347,
}
"""Pearson's r with forgetting that PEFT-Arena prints (arXiv 2605.28819), of an unknown number of checkpoints."""


def related(found: Foretelling, resamples: int = 10_000) -> tuple[Relation, ...]:
    """Every measure against forgetting, given the size of the update and the gain.

    Measures that some checkpoint lacks are left out: `missing` names them.

    Raises:
        NotMeasurable: If there are fewer than three checkpoints, or all forgot the same.
    """
    rows = found.checkpoints
    measures = {name: [row.measures[name] for row in rows] for name in _everywhere(found) if name != SIZE}
    draws = np.array([row.forgetting_draws for row in rows]).T if all(row.forgetting_draws for row in rows) else None
    return relations(
        {SIZE: [row.measures[SIZE] for row in rows], **measures},
        [row.forgetting for row in rows],
        [row.family for row in rows],
        covariates={
            "log size": np.log([row.measures[SIZE] for row in rows]),
            "gain": [row.gain for row in rows],
        },
        outcome_draws=draws,
        seeds=[row.seed for row in rows],
        resamples=resamples,
    )


def missing(found: Foretelling) -> tuple[str, ...]:
    """Measures that are not defined for every checkpoint."""
    tried = {name for row in found.checkpoints for name in row.measures}
    return tuple(sorted(tried - set(_everywhere(found))))


def relations_table(found: Foretelling, relations: Sequence[Relation]) -> str:
    """The table in Markdown, with what must be known to read it."""
    first = relations[0]
    lines = [
        f"# Does geometry foretell what {', '.join(found.learn)} makes {found.base} forget?",
        "",
        f"{first.checkpoints} checkpoints of {first.families} methods and {first.seeds} seeds; "
        f"{first.level:.0%} intervals over methods, then checkpoints, then items ({first.redraws:,} redraws). "
        "*Given size*: Spearman with the size of the update held fixed. *Without one method*: the smallest |r| when a "
        "whole method is left out, and whose absence turns the sign. *R²*: how well methods that were left out are "
        f"foretold; by size alone {_number(_by_size(first))}. p is by permutation, adjusted for the "
        f"{len(relations)} measures of this table.",
        "",
        "| measure | r | rho | given size | without one method | R² | p | published r |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [_row(relation) for relation in relations]
    if first.indicative:
        lines += ["", "Fewer than five methods: the intervals are indicative only."]
    if absent := missing(found):
        lines += ["", f"Left out, since not defined for every checkpoint: {', '.join(absent)}."]
    lines += ["", *(f"Not measured: {line}." for line in left_out(found))] if found.left_out else []
    return "\n".join(lines) + "\n"


def left_out(found: Foretelling) -> tuple[str, ...]:
    """A line for each reason why runs or checkpoints were not measured, with their names."""
    grouped: dict[str, list[LeftOut]] = {}
    for each in found.left_out:
        grouped.setdefault(each.reason, []).append(each)
    return tuple(f"{', '.join(map(_named, group))} ({reason})" for reason, group in grouped.items())


def terminal_relations(relations: Sequence[Relation]) -> Table:
    """The table for a terminal; what does not fit stands in the other one."""
    table = Table(box=None, header_style="dim")
    for heading in ("measure", "r", "rho", "given size", "R²", "p"):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "measure" else "right")
    for relation in relations:
        measure, r, rho, given, _, foretold, p = _cells(relation)
        table.add_row(measure, r, *(cell.partition(" [")[0] for cell in (rho, given)), foretold, p)
    return table


def _named(each: LeftOut) -> str:
    return f"{each.family} seed {each.seed}" + ("" if each.step is None else f" step {each.step}")


def _row(relation: Relation) -> str:
    published = f"{PUBLISHED[relation.measure]:+.3f}" if relation.measure in PUBLISHED else ""
    return f"| {' | '.join([*_cells(relation), published])} |"


def _cells(relation: Relation) -> list[str]:
    given = next(p.spearman for p in relation.partials if p.given == ("log size",))
    return [
        relation.measure,
        _estimate(relation.pearson),
        _estimate(relation.spearman),
        "is the size" if relation.measure == SIZE else _estimate(given),
        _left_out(relation),
        _number(relation.prediction.r_squared),
        _number(relation.adjusted_p, 3),
    ]


def _left_out(relation: Relation) -> str:
    found = relation.left_out
    if isinstance(found, Undefined):
        return found.reason
    turned = sorted({" and ".join(families) for families in found.pearson_turned_by})
    smallest = _number(found.smallest_pearson)
    return f"{smallest}; sign turns without {', '.join(turned)}" if turned else smallest


def _estimate(found: Estimate | Undefined) -> str:
    if isinstance(found, Undefined):
        return found.reason
    low, high = found.spread.low, found.spread.high
    return f"{found.value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _number(found: float | Undefined, digits: int = 2) -> str:
    return found.reason if isinstance(found, Undefined) else f"{found:.{digits}f}"


def _by_size(relation: Relation) -> float | Undefined:
    return next(p.r_squared for p in relation.baselines if p.predictor == "log size")


def _everywhere(found: Foretelling) -> tuple[str, ...]:
    first, *others = (list(row.measures) for row in found.checkpoints)
    return tuple(name for name in first if all(name in row for row in others))
