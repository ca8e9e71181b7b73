"""Sums of three numbers with the intermediate result written out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.arithmetic import value
from holdfast.tasks.combined import CombinedTask

Chain = tuple[int, str, int, str, int]
"""Three numbers with their two signs."""


@dataclass(frozen=True)
class Working(CombinedTask[Chain]):
    """``Work out 17+5-8:`` to be answered ``17+5= 22, 22-8= 14``: known sums, chained in a new way.

    Graded on the last number alone.
    """

    name = "working"
    max_new_tokens = 24
    test_frac = 0.05

    def combinations(self) -> Iterator[Chain]:
        for first in range(10, 90):
            for second in range(2, 10):
                for third in range(2, 10):
                    for one, other in ("++", "+-", "-+", "--"):
                        middle = value(first, one, second)
                        if 0 <= middle < 100 and 0 <= value(middle, other, third) < 100:
                            yield first, one, second, other, third

    def example(self, combination: Chain) -> Example:
        first, one, second, other, third = combination
        middle = value(first, one, second)
        last = value(middle, other, third)
        return Example(
            id=self.id_of(combination),
            prompt=f"Work out {first}{one}{second}{other}{third}:",
            answer=f" {first}{one}{second}= {middle}, {middle}{other}{third}= {last}",
        )

    def grade(self, example: Example, response: str) -> float:
        return float(response.split()[-1:] == example.answer.split()[-1:])
