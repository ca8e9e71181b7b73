"""What a reader must mind before believing a table of sequences."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.standing import FEWEST
from holdfast.report.wording import counted, listed

ENOUGH = 3
"""Orders and seeds from which on intervals over them are not far too narrow."""


def caveats(found: Analysed) -> tuple[str, ...]:
    """The notes, the weightiest first."""
    return tuple(_notes(found))


def _notes(found: Analysed) -> Iterator[str]:
    for count, noun in ((found.orders, "order"), (found.seeds, "seed")):
        if count == 1:
            yield f"One {noun}: nobody is ranked, and intervals do not cover other {noun}s."
        elif FEWEST <= count < ENOUGH:
            yield f"Only {counted(count, noun)}: intervals over {noun}s are too narrow."
    if found.orders >= ENOUGH and found.seeds >= FEWEST and min(found.orders, found.seeds) <= ENOUGH:
        yield (
            f"{counted(found.orders, 'order')} and {counted(found.seeds, 'seed')}: where they truly differ, intervals "
            "from so few are still too narrow."
        )
    broken = [each.row for each in found.rows if each.row.asked > len(each.row.runs)]
    if broken:
        parts = [f"{row.name} ({len(row.runs)} of {row.asked} finished)" for row in broken]
        yield f"Numbers are of the finished runs alone, and who breaks off in hard cases looks better: {listed(parts)}."
    if found.unit is None:
        yield "The tasks are scored in different units, which have no common mean; each is shown by itself below."
    if len(found.ability_units) > 1:
        yield "Abilities in nats per token and in fractions are never averaged with each other."
    borrowed = [each.name for each in found.sequences if _borrows(found, each)]
    if borrowed and len(borrowed) < len(found.sequences):
        yield f"Intransigence and normalised score of {listed(borrowed)} are held against another method's ceiling."
    elif borrowed:
        yield "Intransigence and normalised scores are held against a ceiling of another method."
    if found.evidence.overlap_items:
        yield f"{counted(found.evidence.overlap_items, 'training example')} left out, being evaluated too."


def _borrows(found: Analysed, each: Measured) -> bool:
    """Whether what its tasks reach outside the sequence is that of another method."""
    if each.row.ceiling is None or each.row.entrant is None:
        return False
    ceiling = found.of(each.row.ceiling).row.entrant
    return ceiling is not None and ceiling.setting != each.row.entrant.setting
