"""Addition and subtraction of numbers below one hundred."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example, Split
from holdfast.tasks.combined import CombinedTask, digest

Sum = tuple[int, str, int, bool]
"""Left number, ``+`` or ``-``, right number, whether another sum stands before it."""


def value(left: int, sign: str, right: int) -> int:
    """The value of ``left sign right``."""
    return left + right if sign == "+" else left - right


@dataclass(frozen=True)
class Arithmetic(CombinedTask[Sum]):
    """``17+25=`` and its like, with results from 0 to 99, alone or after another sum that has been worked out.

    The held-out items are held-out pairs of numbers, in whatever place.
    """

    name = "arithmetic"
    max_new_tokens = 5

    def combinations(self) -> Iterator[Sum]:
        for left in range(100):
            for right in range(100):
                for sign in "+-":
                    if 0 <= value(left, sign, right) < 100:
                        yield left, sign, right, False
                        yield left, sign, right, True

    def split_of(self, combination: Sum) -> Split:
        # Both places of a sum are in the same split.
        left, sign, right, _ = combination
        return super().split_of((left, sign, right, False))

    def example(self, combination: Sum) -> Example:
        left, sign, right, later = combination
        before = f"{self._earlier(combination)}, " if later else ""
        return Example(
            id=self.id_of(combination),
            prompt=f"{before}{left}{sign}{right}=",
            answer=f" {value(left, sign, right)}",
        )

    def _earlier(self, combination: Sum) -> str:
        """A sum of the training split, worked out."""
        draw = random.Random(digest(self.name, *combination))
        while True:
            left, sign, right = draw.randrange(100), draw.choice("+-"), draw.randrange(100)
            outcome = value(left, sign, right)
            if 0 <= outcome < 100 and self.split_of((left, sign, right, False)) == "train":
                return f"{left}{sign}{right}= {outcome}"
