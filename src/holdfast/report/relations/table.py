"""Correlations as a table that says everything they need beside them, in Markdown and on a terminal."""

from __future__ import annotations

from rich.table import Table

from holdfast.core.foretelling import SIZE
from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.metrics.relation import Relation
from holdfast.report.relations.analysis import LOG_SIZE, Related, left_out, missing
from holdfast.report.relations.phrases import STANDS, by_size, correlation, given, plain, published, turning
from holdfast.report.relations.verdict import caveats, headline, scope, verdict
from holdfast.report.wording import NONE, signed


def relations_table(related: Related) -> str:
    """What was found and the table in Markdown, with what must be known to read it."""
    first = related.size
    blocks = [
        f"# {headline(related)}",
        "\n".join(f"- {line}" for line in verdict(related)),
        f"{scope(related)}; {first.level:.0%} intervals over methods, then checkpoints"
        f"{', then items' if first.outcome_noise_included else ''} ({first.redraws:,} redraws). "
        "*Given size*: Spearman with the size of the update held fixed. *Without one method*: the smallest |r| when a "
        "whole method is left out, and whose absence turns the sign. *R²*: how well methods that were left out are "
        f"foretold; by the logarithm of the size alone {plain(by_size(first))}. p is by permutation, adjusted for the "
        f"{len(related.relations)} measures of this table.",
        "| measure | r | rho | given size | without one method | R² | p | published r |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
        + "\n".join(f"| {' | '.join(_cells(relation))} |" for relation in related.relations),
        *caveats(related),
        *(f"{line}." for line in unmeasured(related)),
    ]
    return "\n\n".join(blocks) + "\n"


def terminal_relations(related: Related) -> Table:
    """The table for a terminal; reasons and further intervals stand in the other one."""
    table = Table(box=None, header_style="dim")
    # On a narrow terminal names are broken and numbers stay whole.
    table.add_column("measure", overflow="fold")
    for heading in ("r", "rho", "given size", "R²", "p"):
        table.add_column(heading, no_wrap=True, justify="right")
    for relation in related.relations:
        table.add_row(
            relation.measure,
            NONE if isinstance(relation.pearson, Undefined) else correlation(relation.pearson),
            _short(relation.spearman),
            STANDS if relation.measure == SIZE else _short(given(relation, LOG_SIZE)),
            _short(relation.prediction.r_squared),
            _short(relation.adjusted_p, 3),
        )
    return table


def unmeasured(related: Related) -> tuple[str, ...]:
    """What has no place in the table, and why."""
    absent = missing(related.found)
    return (
        *([f"Left out, since not defined for every checkpoint: {', '.join(absent)}"] if absent else []),
        *(f"Not measured: {line}" for line in left_out(related.found)),
    )


def _short(found: Estimate | float | Undefined, digits: int = 2) -> str:
    """A number without its interval; a dash where there is none."""
    if isinstance(found, Undefined):
        return NONE
    return signed(found.value, digits) if isinstance(found, Estimate) else plain(found, digits)


def _cells(relation: Relation) -> list[str]:
    return [
        relation.measure,
        correlation(relation.pearson),
        correlation(relation.spearman),
        STANDS if relation.measure == SIZE else correlation(given(relation, LOG_SIZE)),
        _without_one(relation),
        plain(relation.prediction.r_squared),
        plain(relation.adjusted_p, 3),
        published(relation.measure),
    ]


def _without_one(relation: Relation) -> str:
    if isinstance(relation.left_out, Undefined):
        return relation.left_out.reason
    smallest, turned = plain(relation.left_out.smallest_pearson), turning(relation)
    return f"{smallest}; sign turns without {', '.join(turned)}" if turned else smallest
