"""Training examples that are also evaluated: found by their text, whatever their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.core.errors import RecipeError
from holdfast.core.task import Example
from holdfast.core.text import fingerprint


@dataclass(frozen=True)
class Overlap:
    """Training examples whose text is also an evaluated item.

    Attributes:
        ids: Ids of the training examples.
        first: The first of them, for people to look at.
        places: Tasks in which they are met, with how many.
    """

    ids: frozenset[str]
    first: str
    places: Mapping[str, int]


def overlap_of(training: Sequence[Example], evaluated: Mapping[str, Iterable[Example]]) -> Overlap:
    """Which training examples are met again in evaluation; compared by letters and digits alone.

    An example is its prompt with its answer: the same question with another answer is not the same example.

    Args:
        training: Training examples.
        evaluated: Evaluated items by the name of their task.
    """
    known = {text_of(example): example for example in training}
    met: dict[str, str] = {}
    places: dict[str, int] = {}
    for task, examples in evaluated.items():
        for example in examples:
            twin = known.get(text_of(example))
            if twin is not None:
                met[twin.id] = text_of(example)
                places[task] = places.get(task, 0) + 1
    first = next((str(example.prompt) + example.answer for example in training if example.id in met), "")
    return Overlap(frozenset(met), first, places)


def check_overlap(overlaps: Mapping[str, Overlap], *, drop: bool) -> None:
    """Refuse a target or a source that leaks into what is evaluated, unless those examples are to be dropped.

    Args:
        overlaps: What was found, by the option of the recipe that the examples came from.
        drop: Whether they are to be left out.

    Raises:
        RecipeError: If there is overlap and nothing was said about it.
    """
    faults = []
    for option, overlap in overlaps.items():
        places = ", ".join(f"{count} in '{task}'" for task, count in overlap.places.items())
        if overlap.ids:
            faults.append(
                f"{option}: {len(overlap.ids)} of its training examples are also evaluated ({places}), "
                f"the first is {overlap.first[:80]!r}; pass --drop_overlap to leave them out of training"
            )
    if faults and not drop:
        raise RecipeError(faults)


def text_of(example: Example) -> str:
    """The whole text of an example, reduced to its letters and digits."""
    prompt = example.prompt if isinstance(example.prompt, str) else " ".join(turn["content"] for turn in example.prompt)
    return fingerprint(prompt + example.answer)
