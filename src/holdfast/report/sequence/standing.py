"""Who forgets least among those that learn as much: the comparison that the verdict rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.metrics.continual.formulas import backward_transfer_gem, final_accuracy, learning_accuracy
from holdfast.metrics.tradeoff import BASE
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.differences import difference
from holdfast.report.sequence.numbers import Number

LOST, LEARNT = backward_transfer_gem.name, learning_accuracy.name
FEWEST: Final = 2
"""Orders and seeds below which nobody is ranked."""

EQUAL_FRAC: Final = 0.05
"""Who is shown to learn less than the reference, but by at most this share of what that gains on the base, has still
learned as much."""


@dataclass(frozen=True)
class Standing:
    """The outcome.

    Attributes:
        reference: The sequence that others are held against.
        margin: How far one may be behind it in learning accuracy and still have learned as much.
        slower: Those that are shown to learn less, and by more than that, which take no part.
        best: Who loses least of those that take part.
        level: Of the intervals below, so that all of them hold together as often as one alone at the plain level.
        leads: For every other one that takes part, backward transfer of the best minus its own.
    """

    reference: Measured
    margin: float
    slower: tuple[Measured, ...]
    best: Measured
    level: float
    leads: tuple[tuple[Measured, Number], ...]

    @property
    def level_with(self) -> tuple[Measured, ...]:
        """Those from which the best cannot be told apart."""
        return tuple(other for other, lead in self.leads if not lead.above_zero)

    def lead_on(self, other: Measured) -> Number:
        """The best minus another one that takes part, as the reference always does."""
        return next(lead for each, lead in self.leads if each is other)


def too_few(found: Analysed) -> str | None:
    """What there is too little of for a ranking, if there is."""
    few = []
    if found.orders < FEWEST:
        few.append("one order")
    if found.seeds < FEWEST:
        few.append("one seed")
    return " and ".join(few) or None


def standing_of(found: Analysed) -> Standing | None:
    """Who forgets least, measured by backward transfer; nothing where that is nowhere defined.

    Several comparisons with the best are made at once. Each is held at 1 - (1 - level) / (their number).
    """
    defined = [each for each in found.sequences if each.numbers[LOST].value is not None]
    if not defined or found.reference is None:
        return None
    reference = next((each for each in defined if each.name == found.reference), defined[0])
    learnt = {each.name: difference(each, reference, LEARNT, found) for each in defined if each is not reference}
    start = found.of(BASE).numbers[final_accuracy.name].known
    margin = EQUAL_FRAC * max(reference.numbers[LEARNT].known - start, 0.0)
    slower = tuple(each for each in defined if each.name in learnt and _behind(learnt[each.name], margin))
    racing = [each for each in defined if each not in slower]
    best = max(racing, key=lambda each: each.numbers[LOST].known)
    level = 1 - (1 - found.level) / max(len(racing) - 1, 1)
    leads = tuple((each, difference(best, each, LOST, found, level)) for each in racing if each is not best)
    return Standing(reference, margin, slower, best, level, leads)


def _behind(gap: Number, margin: float) -> bool:
    return gap.below_zero and gap.value is not None and gap.value < -margin
