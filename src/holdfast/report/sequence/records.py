"""The numbers of sequences as records: for scripts, and to compare two runs of the same recipe."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.record import Record
from holdfast.metrics.continual.formulas import METRICS
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.columns import SHOWN, ability_column
from holdfast.report.sequence.differences import difference
from holdfast.report.sequence.numbers import Number
from holdfast.report.sequence.owners import owners_of
from holdfast.report.sequence.phrases import order_text


def records_of(found: Analysed) -> list[Record]:
    """All records, without costs.

    Metrics have the entrant for their subject, differences ``one minus other``. The scores themselves stand as
    ``score`` with the subject ``entrant/order`` and the site ``task after stage n``; owners as ``chosen_tensors`` and
    ``chosen_params`` of the site of their task.
    """
    records = [record for each in found.rows for record in _metrics(found, each)]
    for other in found.opponents:
        records += [
            record for each in found.sequences if each is not other for record in _differences(found, each, other)
        ]
    return [*records, *(record for each in found.sequences for record in _chains(each))]


def _metrics(found: Analysed, each: Measured) -> Iterator[Record]:
    for metric in METRICS:
        ceiling = each.row.runs[0].ceiling if each.row.runs else None
        yield _record(each.name, metric.named(ceiling), each.numbers[metric.name])
    for unit in found.ability_units:
        yield _record(each.name, "general_delta", each.numbers[ability_column(unit)], unit)


def _differences(found: Analysed, one: Measured, other: Measured) -> Iterator[Record]:
    subject = f"{one.name} minus {other.name}"
    for column in SHOWN:
        yield _record(subject, column.metric.name, difference(one, other, column.metric.name, found))
    for unit in found.ability_units:
        yield _record(subject, "general_delta", difference(one, other, ability_column(unit), found), unit)


def _record(subject: str, quantity: str, found: Number, site: str = "") -> Record:
    if found.value is None:
        return Record(subject=subject, quantity=quantity, site=site, reason=found.reason or "undefined")
    spread = None if found.spread is None else (found.spread.low, found.spread.high)
    return Record(subject=subject, quantity=quantity, site=site, value=found.value, unit=found.unit, spread=spread)


def _chains(each: Measured) -> Iterator[Record]:
    for chain in each.row.chains:
        subject = f"{each.name}/{order_text(chain.order)}"
        for number, stage in enumerate(chain.stages, start=1):
            for scores in stage.test.tasks:
                yield Record(
                    subject=subject,
                    quantity="score",
                    site=f"{scores.task} after stage {number}",
                    value=scores.mean,
                    unit=scores.unit,
                    seed=chain.seed,
                )
        owners = owners_of(chain)
        for choice in owners.choices if owners is not None else ():
            for quantity, value in (("chosen_tensors", choice.tensors), ("chosen_params", choice.params)):
                yield Record(subject=subject, quantity=quantity, site=choice.task, value=value, seed=chain.seed)
