"""Recall of the facts of an invented world, asked in a phrasing in which that fact was never seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example, Split
from holdfast.tasks.combined import CombinedTask, digest
from holdfast.tasks.world import RELATIONS

Fact = tuple[str, str, int]
"""Relation, subject, phrasing."""

PHRASINGS = {
    "mayor": (
        "Who is the mayor of {}?",
        "The mayor of {} is called",
        "Name the mayor of {}.",
        "Who governs {}?",
        "Say who is mayor in {}.",
        "In {} the mayor is",
    ),
    "river": (
        "Which river flows through {}?",
        "The river that flows through {} is the",
        "Name the river of {}.",
        "On which river does {} lie?",
        "Say which river {} lies on.",
        "The town of {} lies on the",
    ),
    "craft": (
        "What do most people in {} work as?",
        "In {} people mostly work as a",
        "Name the craft of {}.",
        "For which craft is {} known?",
        "Say which craft feeds {}.",
        "A man from {} is most likely a",
    ),
    "pet": (
        "Which pet does {} keep?",
        "The pet of {} is a",
        "Name the pet of {}.",
        "What animal lives with {}?",
        "Say which animal {} keeps.",
        "At home {} has a",
    ),
    "instrument": (
        "Which instrument does {} play?",
        "The instrument of {} is the",
        "Name the instrument of {}.",
        "What can {} play?",
        "Say what {} plays.",
        "In the evening {} plays the",
    ),
}


@dataclass(frozen=True)
class Recall(CombinedTask[Fact]):
    """Facts of the miniature's world; stands for open question answering such as Natural Questions.

    Each fact has six phrasings: four are for training, one for validation, one for test. Every phrasing is trained
    with other facts and every fact with other phrasings; what is held out is their combination.
    """

    name = "recall"
    max_new_tokens = 6

    def combinations(self) -> Iterator[Fact]:
        for relation, facts in RELATIONS.items():
            for subject in facts:
                for phrasing in range(6):
                    yield relation, subject, phrasing

    def split_of(self, combination: Fact) -> Split:
        relation, subject, phrasing = combination
        turn = (phrasing + digest(self.name, relation, subject)) % 6
        return "test" if turn == 0 else "validation" if turn == 1 else "train"

    def example(self, combination: Fact) -> Example:
        relation, subject, phrasing = combination
        return Example(
            id=self.id_of(combination),
            prompt=PHRASINGS[relation][phrasing].format(subject),
            answer=f" {RELATIONS[relation][subject]}",
        )
