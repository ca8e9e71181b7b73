"""What a sequence must not train on: examples of two tasks at once, and examples that are also evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from holdfast.arena.overlap import check_overlap, overlap_of
from holdfast.core.errors import RecipeError
from holdfast.core.task import Example


def without_leaks(
    training: Mapping[str, Sequence[Example]],
    source: Sequence[Example],
    evaluated: Mapping[str, Sequence[Example]],
    *,
    drop: bool,
) -> frozenset[str]:
    """Ids of training examples that are to be left out, because they are also evaluated.

    Args:
        training: Training examples by task.
        source: Examples of what the base already knows.
        evaluated: Evaluated items by task.
        drop: Whether examples that are also evaluated are left out, instead of refused.

    Raises:
        RecipeError: If two tasks share training examples, a task has none, or some are also evaluated and nothing was
            said about it.
    """
    faults = [f"tasks: '{name}' has no training example" for name, examples in training.items() if not examples]
    for (one, first), (other, second) in combinations(training.items(), 2):
        shared = overlap_of(first, {other: second})
        if shared.ids:
            faults.append(
                f"tasks: '{one}' and '{other}' share {len(shared.ids)} training examples, the first is "
                f"{shared.first[:80]!r}; take them out of one, or what the later task learns is what the earlier taught"
            )
    if faults:
        raise RecipeError(faults)
    overlaps = {f"tasks: '{name}'": overlap_of(examples, evaluated) for name, examples in training.items()}
    overlaps["source"] = overlap_of(source, evaluated)
    check_overlap(overlaps, drop=drop)
    return frozenset().union(*(overlap.ids for overlap in overlaps.values()))
