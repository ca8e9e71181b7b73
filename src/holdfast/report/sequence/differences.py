"""One row minus another, on the same items, orders and seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from holdfast.metrics.continual.formulas import METRICS
from holdfast.report.sequence.analysis import Analysed, Chains, Measured, measured
from holdfast.report.sequence.numbers import Number, spread_of, undefined

CEILED: Final = frozenset(metric.name for metric in METRICS if metric.needs_ceiling)
"""Numbers that are held against what tasks reach outside the sequence."""


def difference(one: Measured, other: Measured, name: str, found: Analysed, level: float | None = None) -> Number:
    """One row minus another in a metric or a column of abilities, paired over items and over what both have.

    Where a row lacks chains of the other, only the chains that both finished are compared.
    """
    if absent := [each for each in (one, other) if each.numbers[name].value is None]:
        return undefined(f"{absent[0].name}: {absent[0].numbers[name].reason}")
    if name in CEILED and one.row.ceiling != other.row.ceiling:
        return undefined(
            f"undefined: {one.name} is held against {one.row.ceiling} outside the sequence, {other.name} against "
            f"{other.row.ceiling}"
        )
    one, other = _shared(one, other, found)
    first, second = one.numbers[name], other.numbers[name]
    if first.value is None or second.value is None:
        return undefined("the two rows finished no chains of the same orders and seeds")
    value = first.value - second.value
    covers = tuple(each for each in one.covers if each in other.covers)
    if name not in one.draws or name not in other.draws:
        return Number(value, None, covers, first.unit, first.reason or second.reason)
    spread = spread_of(one.draws[name] - other.draws[name], value, level or found.level)
    return Number(value, spread, covers, first.unit)


def _shared(one: Measured, other: Measured, found: Analysed) -> tuple[Measured, Measured]:
    """Both rows on the chains that both finished; rows that are no sequence stay whole."""
    if not (one.row.in_sequence and other.row.in_sequence):
        return one, other
    keys = [frozenset((run.order, run.seed) for run in each.row.runs) for each in (one, other)]
    both = keys[0] & keys[1]
    first, second = (
        each if key == both else _only(each, both, found) for each, key in zip((one, other), keys, strict=True)
    )
    return first, second


def _only(each: Measured, chains: Chains, found: Analysed) -> Measured:
    row = each.row
    if (known := found.parts.get((row.name, chains))) is not None:
        return known
    kept = [place for place, run in enumerate(row.runs) if (run.order, run.seed) in chains]
    part = replace(
        row,
        runs=tuple(row.runs[place] for place in kept),
        ends=tuple(row.ends[place] for place in kept),
        chains=tuple(row.chains[place] for place in kept),
    )
    made = found.parts[row.name, chains] = measured(part, found.scores, found.resamples, found.level)
    return made
