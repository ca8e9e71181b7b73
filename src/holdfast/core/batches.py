"""Rows of unequal length in batches that waste little padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def buckets(lengths: Sequence[int], *, max_rows: int, max_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, so that the first batch shows whether memory suffices.

    Args:
        lengths: Length of each row.
        max_rows: Most rows in a batch.
        max_tokens: Most tokens in a batch, padding included; a single longer row is a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) == max_rows or lengths[batch[0]] * (len(batch) + 1) > max_tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
