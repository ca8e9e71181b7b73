"""Questions to be put into a small query language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask
from holdfast.tasks.world import CRAFTS, INSTRUMENTS, PETS, TOWNS

Search = tuple[str, str, str, str, str]
"""Verb, craft, town, kind of the second condition, its value."""

VERBS = {"Who are": "find", "How many are": "count"}
CONDITIONS = {"pet": (PETS, "with a {}"), "instrument": (INSTRUMENTS, "who play the {}")}


@dataclass(frozen=True)
class Query(CombinedTask[Search]):
    """``Who are the potters of Torvale with a fox?`` becomes ``find craft potter town Torvale pet fox``."""

    name = "query"
    max_new_tokens = 24
    test_frac = 0.02

    def combinations(self) -> Iterator[Search]:
        for verb in VERBS:
            for craft in CRAFTS:
                for town in TOWNS:
                    for kind, (members, _) in CONDITIONS.items():
                        for member in members:
                            yield verb, craft, town, kind, member

    def example(self, combination: Search) -> Example:
        verb, craft, town, kind, member = combination
        condition = CONDITIONS[kind][1].format(member)
        return Example(
            id=self.id_of(combination),
            prompt=f"{verb} the {craft}s of {town} {condition}?",
            answer=f" {VERBS[verb]} craft {craft} town {town} {kind} {member}",
        )
