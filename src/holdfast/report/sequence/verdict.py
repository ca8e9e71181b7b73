"""What the sequences say, in words: first who forgets least, and never more than the intervals allow."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.metrics.continual.formulas import final_accuracy
from holdfast.metrics.tradeoff import BASE
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.columns import ability_column
from holdfast.report.sequence.differences import difference
from holdfast.report.sequence.phrases import told, told_signed
from holdfast.report.sequence.standing import EQUAL_FRAC, LEARNT, LOST, Standing, standing_of, too_few
from holdfast.report.wording import listed, number, sentence

MOST_NAMED = 4


def headline(found: Analysed) -> str:
    """The verdict in one line."""
    if not found.sequences:
        return "No sequence was finished"
    standing = standing_of(found)
    if standing is None:
        several = found.unit is None
        return "Tasks in different units have no average" if several else "What was forgotten is not defined here"
    if len(found.sequences) == 1:
        return f"What {standing.best.name} learned and lost, task after task"
    if (few := too_few(found)) is not None:
        return f"{few.capitalize()} {'are' if ' and ' in few else 'is'} too few to say who forgets least"
    tied, best = standing.level_with, standing.best.name
    if not tied:
        return f"{best} forgets least{_at_equal(standing)}"
    names = [best, *(each.name for each in tied)]
    if standing.reference.name in names:
        return f"Nobody is shown to forget less than {standing.reference.name} at equal learning"
    if len(names) <= MOST_NAMED:
        return f"{listed(names)} forget least{_at_equal(standing)}, and none of them stands out"
    return f"{len(names)} of {len(found.sequences)} entrants forget least{_at_equal(standing)}, and none stands out"


def verdict(found: Analysed) -> tuple[str, ...]:
    """The lines below the headline, the weightiest first."""
    standing = standing_of(found)
    if standing is None:
        reasons = dict.fromkeys(each.numbers[LOST].reason for each in found.sequences)
        return tuple(map(sentence, reasons))
    return (
        _lost(found, standing),
        *_learnt(found, standing),
        *_controls(found),
        *_abilities(found, standing),
        *_ends(found, standing),
    )


def _at_equal(standing: Standing) -> str:
    return " at equal learning" if standing.best is not standing.reference else ""


def _lost(found: Analysed, standing: Standing) -> str:
    best, reference = standing.best, standing.reference
    own = f"From just after a task to the end (backward transfer, GEM): {best.name} {told_signed(best.numbers[LOST])}"
    if best is reference:
        others = [each.name for each in standing.level_with]
        tail = f"; {listed(others)} cannot be told apart from it" if others else ""
        return f"{own}{tail}."
    against = f"{reference.name} {told_signed(reference.numbers[LOST])}"
    lead = standing.lead_on(reference)
    how = "the difference" if not too_few(found) else "the difference, in these runs alone,"
    claim = f"{how} is {told_signed(lead)}"
    inside = "" if lead.above_zero else ": 0 lies inside the interval, so nothing is claimed"
    together = f", at a level of {found.level:.0%} for all {len(standing.leads)} comparisons together"
    return f"{own}, {against}; {claim}{together if len(standing.leads) > 1 else ''}{inside}."


def _learnt(found: Analysed, standing: Standing) -> Iterator[str]:
    best, reference = standing.best, standing.reference
    if best is not reference:
        gap = difference(best, reference, LEARNT, found)
        yield (
            f"Learning: just after training {best.name} scores {told(best.numbers[LEARNT])}, which is "
            f"{told_signed(gap)} against {reference.name}. Equal learning means: not shown to learn "
            f"less, or by no more than {number(standing.margin)}, {EQUAL_FRAC:.0%} of what {reference.name} gained."
        )
    if standing.slower:
        names = [each.name for each in standing.slower]
        yield f"Shown to learn less than {reference.name} by more than that, so not in the running: {listed(names)}."
    if standing.level_with and standing.reference not in standing.level_with and standing.best is not reference:
        names = [each.name for each in standing.level_with]
        yield f"Not told apart from {best.name} in what is lost: {listed(names)}."


def _controls(found: Analysed) -> Iterator[str]:
    choosing = [each for each in _choosers(found) if each.name not in found.controls]
    for name in found.controls:
        control = found.of(name)
        leads = {each.name: difference(each, control, LOST, found) for each in choosing}
        if not leads or too_few(found):
            continue
        said = [
            f"{who} {'loses less' if lead.above_zero else 'loses more' if lead.below_zero else 'is not told apart'} "
            f"({told_signed(lead)})"
            for who, lead in leads.items()
            if lead.value is not None
        ]
        if said:
            yield f"Against {name}, where chance chooses what is trained: {'; '.join(said[:MOST_NAMED])}."


def _choosers(found: Analysed) -> list[Measured]:
    """Sequences whose stages say which tensors they chose."""
    return [e for e in found.sequences if any(s.plan is not None for chain in e.row.chains for s in chain.stages)]


def _abilities(found: Analysed, standing: Standing) -> Iterator[str]:
    for unit in found.ability_units:
        name = ability_column(unit)
        count = sum(found.scores.base(task).unit == unit for task in found.evidence.keep)
        shown = dict.fromkeys([standing.best.name, standing.reference.name])
        parts = [f"{each} {told_signed(found.of(each).numbers[name])}" for each in shown]
        what = "scores from 0 to 1" if unit == "frac" else unit
        yield f"What no stage trains ({count} {'ability' if count == 1 else 'abilities'}, {what}): {', '.join(parts)}."


def _ends(found: Analysed, standing: Standing) -> Iterator[str]:
    rows = dict.fromkeys([standing.best.name, standing.reference.name])
    rows |= dict.fromkeys(each.name for each in found.rows if not each.row.in_sequence and each.row.runs)
    numbers = {name: found.of(name).numbers[final_accuracy.name] for name in rows}
    if all(number.value is not None for number in numbers.values()):
        names = {BASE: "the untouched base"}
        parts = [f"{names.get(name, name)} {told(number)}" for name, number in numbers.items()]
        yield f"Average of all tasks at the end: {', '.join(parts)}."
