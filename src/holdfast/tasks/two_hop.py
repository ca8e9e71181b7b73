"""Questions that need two facts, with the first one written out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example, Split
from holdfast.tasks.combined import CombinedTask, digest
from holdfast.tasks.world import RELATIONS, TOWNS

Hop = tuple[str, str, int]
"""Town, relation asked of its mayor, phrasing."""

PHRASINGS = {
    "pet": (
        "Which pet does the mayor of {} keep?",
        "Name the pet of the mayor of {}.",
        "What animal lives with the mayor of {}?",
        "The mayor of {} has a pet. Which?",
    ),
    "instrument": (
        "Which instrument does the mayor of {} play?",
        "Name the instrument of the mayor of {}.",
        "What can the mayor of {} play?",
        "The mayor of {} has an instrument. Which?",
    ),
}


@dataclass(frozen=True)
class TwoHop(CombinedTask[Hop]):
    """``Which pet does the mayor of Torvale keep?`` is answered ``Darek, hare``: two known facts, chained.

    The held-out items ask of towns that no training item asks of, so they can be answered only by a model that still
    knows those facts. Graded on the last word alone.
    """

    name = "two_hop"
    max_new_tokens = 8
    test_frac = 0.2

    def combinations(self) -> Iterator[Hop]:
        for town in TOWNS:
            for relation, phrasings in PHRASINGS.items():
                for phrasing in range(len(phrasings)):
                    yield town, relation, phrasing

    def split_of(self, combination: Hop) -> Split:
        turn = sorted(TOWNS, key=lambda town: digest(self.name, town)).index(combination[0]) % 5
        return "test" if turn == 0 else "validation" if turn == 1 else "train"

    def example(self, combination: Hop) -> Example:
        town, relation, phrasing = combination
        mayor = RELATIONS["mayor"][town]
        return Example(
            id=self.id_of(combination),
            prompt=PHRASINGS[relation][phrasing].format(town),
            answer=f" {mayor}, {RELATIONS[relation][mayor]}",
        )

    def grade(self, example: Example, response: str) -> float:
        return float(response.split()[-1:] == example.answer.split()[-1:])
