"""The fitting end of a sentence, chosen among four."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask, digest
from holdfast.tasks.world import CRAFTS, TOWNS

Scene = tuple[str, str, str, str]
"""Craft, town, time of day, verb."""

TIMES = ("At dawn", "At noon", "In the evening")
VERBS = ("reached for the", "went back to the", "took care of the")


@dataclass(frozen=True)
class Endings(CombinedTask[Scene]):
    """Which tool a craftsman turns to, by log-likelihood; stands for HellaSwag."""

    name = "endings"
    ask = "choose"
    chance_frac = 0.25

    def combinations(self) -> Iterator[Scene]:
        for craft in CRAFTS:
            for town in TOWNS:
                for time in TIMES:
                    for verb in VERBS:
                        yield craft, town, time, verb

    def example(self, combination: Scene) -> Example:
        craft, town, time, verb = combination
        draw = random.Random(digest(self.name, *combination))
        others = draw.sample([tool for other, tool in CRAFTS.items() if other != craft], 3)
        choices = [CRAFTS[craft], *others]
        draw.shuffle(choices)
        return Example(
            id=self.id_of(combination),
            prompt=f"{time} the {craft} of {town} {verb}",
            answer=f" {CRAFTS[craft]}.",
            choices=tuple(f" {tool}." for tool in choices),
        )
