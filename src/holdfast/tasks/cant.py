"""Sentences to be put into a cant: a secret speech that swaps words and turns their order round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask
from holdfast.tasks.world import COLOURS, CRAFTS, PETS

Sentence = tuple[str, str, str, str]
"""Craft, verb, colour, animal."""

VERBS = ("bought", "saw", "greeted", "showed", "sold", "left")


def cant_word(word: str) -> str:
    """The word that stands for another: its neighbour in the list to which it belongs."""
    for words in (tuple(CRAFTS), VERBS, COLOURS, PETS):
        if word in words:
            return words[(words.index(word) + 3) % len(words)]
    return word


@dataclass(frozen=True)
class Cant(CombinedTask[Sentence]):
    """``In cant: the potter sold a red fox`` becomes the words that stand for these, in reverse order."""

    name = "cant"
    max_new_tokens = 12
    test_frac = 0.05

    def combinations(self) -> Iterator[Sentence]:
        for craft in CRAFTS:
            for verb in VERBS:
                for colour in COLOURS:
                    for animal in PETS:
                        yield craft, verb, colour, animal

    def example(self, combination: Sentence) -> Example:
        craft, verb, colour, animal = combination
        return Example(
            id=self.id_of(combination),
            prompt=f"In cant: the {craft} {verb} a {colour} {animal}.",
            answer=" " + " ".join(map(cant_word, (animal, colour, verb, craft))),
        )
