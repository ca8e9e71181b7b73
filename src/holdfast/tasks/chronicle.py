"""Prose of the invented world, to be read and not answered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask, digest
from holdfast.tasks.world import (
    COLOURS,
    CRAFTS,
    DISEASES,
    PEOPLE,
    RELATIONS,
    REMEDIES,
    SYMPTOMS,
    TOWNS,
)

Page = tuple[str, str, int]
"""Town, visitor, variant."""


@dataclass(frozen=True)
class Chronicle(CombinedTask[Page]):
    """Pages of a chronicle: held-out pages hold the same world, in combinations that no other page has."""

    name = "chronicle"
    ask = "read"

    def combinations(self) -> Iterator[Page]:
        for town in TOWNS:
            for visitor in PEOPLE:
                for variant in range(4):
                    yield town, visitor, variant

    def example(self, combination: Page) -> Example:
        town, visitor, _ = combination
        draw = random.Random(digest(self.name, *combination))
        events = draw.sample([_meeting, _trade, _illness, _object], 3)
        text = " ".join(event(draw, town, visitor) for event in (_arrival, *events))
        return Example(id=self.id_of(combination), prompt="", answer=text)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _arrival(draw: random.Random, town: str, visitor: str) -> str:
    river, pet = RELATIONS["river"][town], RELATIONS["pet"][visitor]
    return draw.choice(
        (
            f"{visitor} came to {town} on the {river} with {_a(pet)}.",
            f"One morning {visitor} and {_a(pet)} crossed the {river} and reached {town}.",
            f"The {river} was high when {visitor} rode into {town} with the {pet}.",
        )
    )


def _meeting(draw: random.Random, town: str, visitor: str) -> str:
    mayor = RELATIONS["mayor"][town]
    instrument = RELATIONS["instrument"][mayor]
    return draw.choice(
        (
            f"There the mayor {mayor} played the {instrument} for the guest.",
            f"{mayor}, who governs the town, sat by the fire with the {instrument}.",
            f"The mayor {mayor} showed {visitor} a fine {instrument}.",
        )
    )


def _trade(draw: random.Random, town: str, visitor: str) -> str:
    craft = RELATIONS["craft"][town]
    return draw.choice(
        (
            f"Every {craft} in the street was busy at the {CRAFTS[craft]}.",
            f"{visitor} bought {_a(CRAFTS[craft])} from a {craft} at the market.",
            f"A {craft} left the {CRAFTS[craft]} and greeted {visitor}.",
        )
    )


def _illness(draw: random.Random, town: str, visitor: str) -> str:
    first, second = draw.sample(SYMPTOMS, 2)
    disease, remedy = draw.choice(DISEASES), draw.choice(REMEDIES)
    return draw.choice(
        (
            f"People spoke of {disease} and sold {remedy} at the gate.",
            f"A child had {first} and {second}, and an adult drank {remedy}.",
            f"The healer knew {disease} well and gave {remedy} for the {first}.",
        )
    )


def _object(draw: random.Random, town: str, visitor: str) -> str:
    colour, other = draw.sample(COLOURS, 2)
    craft = draw.choice(tuple(CRAFTS))
    return draw.choice(
        (
            f"A {colour} door stood beside a {other} one.",
            f"The {craft} wore a {colour} coat and sold a {other} hat.",
            f"{visitor} saw a {colour} {CRAFTS[craft]} and a {other} boat.",
        )
    )
