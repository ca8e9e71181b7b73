"""The tables of the page: what was learned and lost, what it cost, and who differs from whom."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.metrics.tradeoff import BASE
from holdfast.report.ledger import Cell, Column
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.columns import SHOWN, ability_column
from holdfast.report.sequence.costs import cost_cell, params_cell, probe_cells, rate_cell, stored_cell
from holdfast.report.sequence.differences import difference
from holdfast.report.sequence.numbers import Number
from holdfast.report.sequence.phrases import between, brief, covering
from holdfast.report.wording import typeset

REGIMES = {"alone": "each task alone", "jointly": "all tasks mixed", "sequence": ""}


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: Of the row.
        below: What stands below it, in small.
        cells: One a column.
        kind: ``sequence``, ``outside`` or ``base``.
    """

    name: str
    below: str
    cells: tuple[Cell, ...]
    kind: str = "sequence"


@dataclass(frozen=True)
class Table:
    """A table whose columns have their definition below their title.

    Attributes:
        columns: After the name; the hint is the definition.
        rows: The rows.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def number_columns(found: Analysed) -> list[tuple[str, Column, bool]]:
    """Name of a number, its column, and whether it is a difference; what needs a ceiling stands where there is one."""
    columns = [
        (each.metric.name, Column(each.title, each.words), each.signed)
        for each in SHOWN
        if not each.metric.needs_ceiling or any(row.row.ceiling for row in found.sequences)
    ]
    for unit in found.ability_units:
        words = "scores 0 to 1" if unit == "frac" else unit
        hint = f"untrained abilities, end minus base, {words}"
        columns.append((ability_column(unit), Column("general ability", hint), True))
    return columns


def number_ledger(found: Analysed) -> Table:
    """Everything that was learned and lost, a row an entrant."""
    columns = number_columns(found)
    rows = tuple(
        Row(
            "untouched base" if each.name == BASE else each.name,
            _below(each),
            tuple(_cell(each.numbers[name], signed) for name, _, signed in columns),
            _kind(each),
        )
        for each in found.rows
    )
    return Table(tuple(column for _, column, _ in columns), rows)


def cost_ledger(found: Analysed) -> Table:
    """What every row costs; columns without any number are left out."""
    rows = [each for each in found.rows if each.row.entrant is not None]
    columns = (
        Column("trained", "parameters of a stage, share of the base"),
        Column("rate", "learning rate that was chosen"),
        Column("step time", "of a training step; lora's is 1"),
        Column("peak memory", "of the process or device"),
        Column("stored", "to serve every task at the end"),
        Column("carried on", "kept from stage to stage"),
        Column("probe", "choosing what to train, before training"),
        Column("finished", "chains, of those that were begun"),
    )
    cells = [
        (
            params_cell(entrant, found.evidence.base_params),
            rate_cell(entrant),
            cost_cell(entrant, "step_time"),
            cost_cell(entrant, "peak_memory"),
            stored_cell(entrant),
            cost_cell(entrant, "keepsake_bytes"),
            probe_cells(entrant),
            _finished(each),
        )
        for each in rows
        if (entrant := each.row.entrant) is not None
    ]
    filled = [place for place in range(len(columns)) if any(row[place].order is not None for row in cells)]
    return Table(
        tuple(columns[place] for place in filled),
        tuple(
            Row(each.name, _below(each), tuple(row[place] for place in filled), _kind(each))
            for each, row in zip(rows, cells, strict=True)
        ),
    )


def difference_ledgers(found: Analysed) -> dict[str, Table]:
    """Against whom -> the differences of everybody else, paired; the reference first, then the controls."""
    columns = number_columns(found)
    return {other.name: _differences(found, other, columns) for other in found.opponents}


def _differences(found: Analysed, other: Measured, columns: list[tuple[str, Column, bool]]) -> Table:
    rows = [each for each in found.rows if each is not other and each.row.runs and each.name != BASE]
    return Table(
        tuple(column for _, column, _ in columns),
        tuple(
            Row(
                each.name,
                _below(each),
                tuple(_cell(difference(each, other, name, found), True) for name, _, _ in columns),
                _kind(each),
            )
            for each in rows
        ),
    )


def _cell(found: Number, signed: bool) -> Cell:
    inside = found.spread is not None and signed and not found.spread.excludes_zero
    tip = covering(found) + ("\nthe interval includes 0" if inside else "")
    below = tuple(filter(None, (typeset(between(found)),)))
    return Cell(typeset(brief(found, with_sign=signed)), below, found.value, typeset(tip))


def _below(each: Measured) -> str:
    entrant = each.row.entrant
    if entrant is None:
        return ""
    regime = REGIMES[entrant.regime]
    if not each.row.runs:
        return f"{regime}: no result" if regime else "no result"
    if each.row.asked > len(each.row.runs):
        return f"{len(each.row.runs)} of {each.row.asked} finished"
    return regime


def _finished(each: Measured) -> Cell:
    return Cell(f"{len(each.row.runs)} of {each.row.asked}", (), len(each.row.runs))


def _kind(each: Measured) -> str:
    if each.row.entrant is None:
        return "base"
    return "sequence" if each.row.in_sequence else "outside"
