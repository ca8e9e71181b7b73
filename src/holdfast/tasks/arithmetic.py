"""Addition and subtraction of numbers below one hundred."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask

Sum = tuple[int, str, int]
"""Left number, ``+`` or ``-``, right number."""


def value(left: int, sign: str, right: int) -> int:
    """The value of ``left sign right``."""
    return left + right if sign == "+" else left - right


@dataclass(frozen=True)
class Arithmetic(CombinedTask[Sum]):
    """``17+25=`` and its like, with results from 0 to 99; the held-out items are held-out pairs of numbers."""

    name = "arithmetic"
    max_new_tokens = 5

    def combinations(self) -> Iterator[Sum]:
        for left in range(100):
            for right in range(100):
                for sign in "+-":
                    if 0 <= value(left, sign, right) < 100:
                        yield left, sign, right

    def example(self, combination: Sum) -> Example:
        left, sign, right = combination
        return Example(
            id=self.id_of(combination), prompt=f"{left}{sign}{right}=", answer=f" {value(left, sign, right)}"
        )
