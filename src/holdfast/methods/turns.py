"""The batches of several tasks, one of each in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice, zip_longest

from holdfast.weights.material import Batch


def in_turns(streams: Mapping[str, Iterable[Batch]], most: int) -> list[Batch]:
    """The first batches of some tasks, one of each in turn; a task that has no more is passed over.

    Args:
        streams: Batches of every task.
        most: How many are taken at most, of all tasks together.
    """
    rounds = chain.from_iterable(zip_longest(*streams.values()))
    return list(islice((batch for batch in rounds if batch is not None), most))
