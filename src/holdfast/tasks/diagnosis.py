"""Diseases to be told from symptoms, and the remedy for each patient."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.task import Example
from holdfast.tasks.combined import CombinedTask
from holdfast.tasks.world import DISEASES, PEOPLE, REMEDIES, SYMPTOMS

Case = tuple[str, str, str, str, str]
"""Patient, age group, three symptoms in the order in which they are told."""

SIGNATURES = {frozenset(pair): DISEASES[i] for i, pair in enumerate(list(itertools.combinations(SYMPTOMS, 2))[::3])}
"""Pair of symptoms -> the disease that it gives away."""


def disease_of(symptoms: tuple[str, ...]) -> str | None:
    """The one disease that the symptoms give away, or nothing where they fit none or several."""
    found = [SIGNATURES[pair] for pair in map(frozenset, itertools.combinations(symptoms, 2)) if pair in SIGNATURES]
    return found[0] if len(found) == 1 else None


def remedy_for(disease: str, age: str) -> str:
    """The remedy, which depends on the disease and on the age group."""
    return REMEDIES[(3 * DISEASES.index(disease) + (4 if age == "child" else 0)) % len(REMEDIES)]


@dataclass(frozen=True)
class Diagnosis(CombinedTask[Case]):
    """A pair of symptoms gives the disease away, a third misleads; the remedy depends on the age. New knowledge."""

    name = "diagnosis"
    max_new_tokens = 12
    test_frac = 0.05

    def combinations(self) -> Iterator[Case]:
        for symptoms in itertools.permutations(SYMPTOMS, 3):
            if disease_of(symptoms) is not None:
                for age in ("child", "adult"):
                    for patient in PEOPLE[::4]:
                        yield patient, age, *symptoms

    def example(self, combination: Case) -> Example:
        patient, age, *symptoms = combination
        disease = disease_of(tuple(symptoms))
        assert disease is not None, "combinations() lets only clear cases through"
        first, second, third = symptoms
        return Example(
            id=self.id_of(combination),
            prompt=f"The {age} {patient} has {first}, {second} and {third}. Diagnosis?",
            answer=f" {disease}: {remedy_for(disease, age)}",
        )
