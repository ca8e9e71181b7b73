"""Small puzzles of logic and symbols: truth values, swaps, reversals, the odd one out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask, digest
from holdfast.tasks.world import COLOURS, CRAFTS, INSTRUMENTS, PETS

Puzzle = tuple[str, ...]
"""Kind of puzzle, then its parts."""

PLACES = ("first", "second", "third", "fourth")
KINDS = (COLOURS, PETS, INSTRUMENTS, tuple(CRAFTS))


def truth(sentence: str) -> bool:
    """Truth of ``[not] a and|or [not] b``, where a and b are ``true`` or ``false``; ``not`` binds tighter."""
    left, operator, right = sentence.replace("not true", "false*").replace("not false", "true*").split()
    values = [side.startswith("true") for side in (left, right)]
    return all(values) if operator == "and" else any(values)


@dataclass(frozen=True)
class Logic(CombinedTask[Puzzle]):
    """Truth values of nested sentences, rows after a swap or reversed, the word of another kind; stands for BBH."""

    name = "logic"
    max_new_tokens = 8
    chance_frac = 0.22

    def combinations(self) -> Iterator[Puzzle]:
        negations, values = ("", "not "), ("true", "false")
        literals = ["".join(pair) for pair in itertools.product(negations, values)]
        clauses = [" ".join(parts) for parts in itertools.product(literals, ("and", "or"), literals)]
        for left, operator, right in itertools.product(clauses, ("and", "or"), clauses):
            yield "truth", left, operator, right
        for colours in itertools.permutations(COLOURS[:6], 4):
            for swap in itertools.combinations(PLACES, 2):
                yield "swap", *colours, *swap
        for pets in itertools.permutations(PETS[:7], 4):
            yield "reverse", *pets
        for index in range(2000):
            draw = random.Random(digest(self.name, "odd", index))
            own, other = draw.sample(KINDS, 2)
            row = (*draw.sample(own, 3), draw.choice(other))
            yield "odd", *draw.sample(row, 4), row[3]

    def example(self, combination: Puzzle) -> Example:
        kind, *parts = combination
        prompt, answer = {"truth": _truth, "swap": _swap, "reverse": _reverse, "odd": _odd}[kind](parts)
        return Example(id=self.id_of(combination), prompt=prompt, answer=f" {answer}")


def _truth(parts: list[str]) -> tuple[str, str]:
    left, operator, right = parts
    values = (truth(left), truth(right))
    outcome = all(values) if operator == "and" else any(values)
    return f"({left}) {operator} ({right}) is", str(outcome).lower()


def _swap(parts: list[str]) -> tuple[str, str]:
    *row, one, other = parts
    end = list(row)
    i, j = PLACES.index(one), PLACES.index(other)
    end[i], end[j] = end[j], end[i]
    return f"Swap {one} and {other}: {' '.join(row)}.", " ".join(end)


def _reverse(parts: list[str]) -> tuple[str, str]:
    return f"Reverse: {' '.join(parts)}.", " ".join(reversed(parts))


def _odd(parts: list[str]) -> tuple[str, str]:
    *row, odd = parts
    return f"Which is of another kind: {' '.join(row)}?", odd
