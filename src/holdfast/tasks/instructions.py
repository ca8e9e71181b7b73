"""Instructions whose following can be verified without knowing the one right answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask
from holdfast.tasks.world import COLOURS, CRAFTS, INSTRUMENTS, PETS, REMEDIES, RIVERS

Instruction = tuple[str, int, bool, str, str, str]
"""Category, how many, in capitals, separator, forbidden member (or nothing), closing word (or nothing)."""

CATEGORIES = {
    "colours": COLOURS,
    "animals": PETS,
    "instruments": INSTRUMENTS,
    "rivers": RIVERS,
    "crafts": tuple(CRAFTS),
    "herbs": REMEDIES,
}
COUNTS = {1: "one", 2: "two"}
SEPARATORS = {"commas": ",", "dashes": " -", "slashes": " /"}
CLOSINGS = ("", "done", "over")


@dataclass(frozen=True)
class Instructions(CombinedTask[Instruction]):
    """Lists to be written under constraints on count, case, separator, exclusion and ending; stands for IFEval.

    Grading is strict and by checker: every answer that obeys all constraints scores 1, every other 0.
    """

    name = "instructions"
    max_new_tokens = 24

    def combinations(self) -> Iterator[Instruction]:
        for category, members in CATEGORIES.items():
            for count in COUNTS:
                for capitals in (False, True):
                    for separator in SEPARATORS if count > 1 else ("",):
                        for forbidden in ("", *members):
                            for closing in CLOSINGS:
                                yield category, count, capitals, separator, forbidden, closing

    def example(self, combination: Instruction) -> Example:
        category, count, capitals, separator, forbidden, closing = combination
        order = f"Name {COUNTS[count]} {category if count > 1 else 'of the ' + category}"
        order += f" but not {forbidden}" if forbidden else ""
        order += " in capitals" if capitals else ""
        order += f" with {separator}" if separator else ""
        order += f", then say {closing}" if closing else ""
        # The reference names the first that are allowed; every other answer that obeys scores as well.
        members = [member for member in CATEGORIES[category] if member != forbidden][:count]
        answer = (SEPARATORS[separator] + " " if separator else "").join(members)
        answer = answer.upper() if capitals else answer
        return Example(
            id=self.id_of(combination),
            prompt=f"{order}.",
            answer=f" {answer}" + (f". {closing}" if closing else ""),
            facts={
                "category": category,
                "count": count,
                "capitals": capitals,
                "separator": separator,
                "forbidden": forbidden,
                "closing": closing,
            },
        )

    def grade(self, example: Example, response: str) -> float:
        facts = example.facts
        body, closing = response.strip(), str(facts["closing"])
        if closing:
            if not body.endswith(f". {closing}"):
                return 0.0
            body = body.removesuffix(f". {closing}")
        separator = str(facts["separator"])
        words = body.split(SEPARATORS[separator] + " ") if separator else [body]
        allowed = {member for member in CATEGORIES[str(facts["category"])] if member != facts["forbidden"]}
        allowed = {member.upper() for member in allowed} if facts["capitals"] else allowed
        return float(len(words) == facts["count"] == len(set(words)) and set(words) <= allowed)
