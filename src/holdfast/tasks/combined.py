"""Tasks whose examples are all combinations of their parts, split by a hash of the combination.

A combination belongs to one split for ever, whatever is drawn from it and in what order, so that no test item can be
met in training: the splits are disjoint by construction and not by the luck of a draw.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar

from holdfast.core.task import Ask, Example, Split

Combination = TypeVar("Combination", bound=tuple[object, ...])


def digest(*parts: object) -> int:
    """A 64-bit number that depends on the parts alone: the same on every machine and in every session."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class CombinedTask(ABC, Generic[Combination]):
    """A task defined by its combinations and by how each of them is asked.

    Subclasses are frozen dataclasses without state. ``test_frac`` of all combinations are test, as many are
    validation, and the rest is for training.
    """

    name: ClassVar[str]
    ask: ClassVar[Ask] = "generate"
    chance_frac: ClassVar[float] = 0.0
    max_new_tokens: ClassVar[int] = 0
    test_frac: ClassVar[float] = 0.1

    @abstractmethod
    def combinations(self) -> Iterator[Combination]:
        """Every combination once."""

    @abstractmethod
    def example(self, combination: Combination) -> Example:
        """How one combination is asked. Random parts are drawn from a generator seeded by the combination."""

    def split_of(self, combination: Combination) -> Split:
        """The split to which a combination belongs for ever."""
        share = digest(self.name, *combination) / 2**64
        if share < self.test_frac:
            return "test"
        return "validation" if share < 2 * self.test_frac else "train"

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        """Examples of one split in an order fixed by ``seed``; all of them when ``limit`` is ``None``."""
        dealt = _dealt(type(self), split, seed)
        return [self.example(combination) for combination in dealt[:limit]]

    def grade(self, example: Example, response: str) -> float:
        """1 when the response is the reference answer, white space apart."""
        return float(response.split() == example.answer.split())

    def id_of(self, combination: Combination) -> str:
        """The stable id of a combination."""
        return f"{self.name}/{digest(self.name, *combination):016x}"


@lru_cache(maxsize=64)
def _dealt(kind: type[CombinedTask[Any]], split: Split, seed: int) -> tuple[Any, ...]:
    task = kind()
    own = dict.fromkeys(combination for combination in task.combinations() if task.split_of(combination) == split)
    return tuple(sorted(own, key=lambda combination: digest(seed, task.name, *combination)))
