"""The batches or examples of several tasks, one of each in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice, zip_longest
from typing import TypeVar

Item = TypeVar("Item")


def in_turns(streams: Mapping[str, Iterable[Item]], most: int | None = None) -> list[Item]:
    """What some tasks have, one of each in turn; a task that has no more is passed over.

    Args:
        streams: Batches or examples of every task.
        most: How many are taken at most, of all tasks together; all where not given.
    """
    rounds = chain.from_iterable(zip_longest(*streams.values()))
    return list(islice((item for item in rounds if item is not None), most))
