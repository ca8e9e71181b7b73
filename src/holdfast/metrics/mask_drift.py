"""How a choice of scalars moves from one mask to the next, counted on packed bits.

A history is a matrix of bytes: a row a choice, a bit a scalar, in the same order in every row. Bits that fill up the
last byte are 0 everywhere. Forty choices among four million scalars take a tenth of a second; no mask is ever unpacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any, Final

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray

History = UInt8[np.ndarray, "choices bytes"]
Packed = UInt8[np.ndarray, " bytes"]

BYTES_AT_ONCE: Final = 2**15
"""So much of every mask is counted at a time: two stretches and their counts fit into a processor's inner cache."""


def jaccard_matrix(history: History) -> list[list[float | None]]:
    """Overlap of any two choices: scalars in both over scalars in either, in [0, 1].

    Args:
        history: The choices.

    Returns:
        A row a choice, in the order of the history; nothing where both choices are empty.

    Raises:
        ValueError: If the history is not a matrix of bytes.
    """
    _check(history, 2)
    shared = _shared(history)
    sizes = np.diag(shared)
    either = sizes[:, np.newaxis] + sizes - shared
    return [
        [both / one if one else None for both, one in zip(*rows, strict=True)]
        for rows in zip(shared.tolist(), either.tolist(), strict=True)
    ]


def turnover_frac(before: Packed, after: Packed) -> float | None:
    """Share of what was held before that is held no longer, in [0, 1]; nothing where nothing was held.

    Args:
        before: The earlier choice.
        after: The later one, of as many bytes.

    Raises:
        ValueError: If the two are not rows of as many bytes.
    """
    for mask in (before, after):
        _check(mask, 1)
    if before.size != after.size:
        raise ValueError(f"two choices among the same scalars are needed, found {before.size} and {after.size} bytes")
    held = _count(before)
    return _count(before & ~after) / held if held else None


def ages_steps(history: History, steps: Sequence[int], *, end_step: int | None = None) -> list[tuple[int, int]]:
    """For how long the scalars that are held at the end have been held without a break.

    A scalar that was let go in between counts from the choice that took it up again.

    Args:
        history: The choices.
        steps: Optimizer steps that were done when each was made, ascending.
        end_step: When the end is; by default at the last choice, at which what it took up is of age 0.

    Returns:
        Pairs of steps and scalars, ascending; ages that no scalar has are left out.

    Raises:
        ValueError: If the history is not a matrix of bytes, or the steps do not ascend, one a choice, up to the end.
    """
    _check(history, 2)
    if len(steps) != len(history) or any(one >= other for one, other in pairwise(steps)):
        raise ValueError(f"one step a choice is needed, ascending, found {list(steps)} for {len(history)} choices")
    if not steps:
        return []
    end = steps[-1] if end_step is None else end_step
    if end < steps[-1]:
        raise ValueError(f"the end lies at or after the last choice, at step {steps[-1]}, found {end}")
    ages, alive = [], history[-1]
    held = _count(alive)
    for place in range(len(history) - 1, -1, -1):
        # What is alive was held at this choice and at all later ones; its age ends where the choice before lacks it.
        alive = alive & history[place - 1] if place else np.zeros_like(alive)
        older = _count(alive)
        if held > older:
            ages.append((end - steps[place], held - older))
        held = older
    return ages


def chance_jaccard(held: int, eligible: int) -> float | None:
    """Overlap of two random choices of the same size, independent of each other: ``p / (2 - p)`` for a share ``p``.

    To first order: with n scalars of which m are chosen, the scalars in both are hypergeometric with mean m² / n, and
    the overlap at this mean is m² / n over 2m - m² / n. As the overlap is convex in the scalars in both, its own mean
    lies above, by less than 1 / 2m of it: for the mask of a model the two are the same.

    Args:
        held: Scalars of each choice.
        eligible: Scalars among which is chosen.

    Returns:
        The overlap; nothing where nothing is held.

    Raises:
        ValueError: If more are held than there are.
    """
    return chance_jaccard_within([(held, eligible)])


def chance_jaccard_within(parts: Iterable[tuple[int, int]]) -> float | None:
    """Overlap of two random choices that hold as much of every part of the model as each other; to first order.

    Never below that of choices that are spread evenly: two may overlap more than by chance for no other reason than
    that both lean towards the same parts.

    Args:
        parts: Of every part, scalars held and scalars that could be.

    Returns:
        The overlap; nothing where nothing is held.

    Raises:
        ValueError: If more are held in a part than there are.
    """
    held, shared = 0, 0.0
    for chosen, size in parts:
        if not 0 <= chosen <= size:
            raise ValueError(f"0 to {size:,} of {size:,} scalars can be held, found {chosen:,}")
        held += chosen
        shared += chosen * chosen / size if size else 0.0
    return shared / (2 * held - shared) if held else None


def kept_frac(jaccard: float, before: float, after: float) -> float:
    """Share of a choice that is in another one too, from their overlap.

    Args:
        jaccard: Overlap of the two.
        before: Scalars of the choice that is asked about, above 0.
        after: Scalars of the other.
    """
    # J = s / (a + b - s) for s scalars in both; rounding of J must not make of all scalars more than all.
    return min(jaccard * (1 + after / before) / (1 + jaccard), 1.0)


def above_chance_sd(jaccard: float, before: float, after: float, eligible: float) -> float | None:
    """By how many standard deviations two choices share more than two random ones of their sizes; below 0 is less.

    The scalars that two random choices share are hypergeometric.

    Args:
        jaccard: Overlap of the two.
        before: Scalars of one choice.
        after: Scalars of the other.
        eligible: Scalars among which both were chosen.

    Returns:
        The distance; nothing where any two choices of these sizes share the same: all scalars are held, or none.
    """
    shared = jaccard * (before + after) / (1 + jaccard)
    expected = before * after / eligible
    variance = expected * (1 - after / eligible) * (eligible - before) / max(eligible - 1, 1)
    return (shared - expected) / sqrt(variance) if variance > 0 else None


def _shared(history: History) -> Int64[np.ndarray, "choices choices"]:
    """Scalars in both of any two choices."""
    count, width = history.shape
    shared = np.zeros((count, count), dtype=np.int64)
    for start in range(0, width, BYTES_AT_ONCE):
        # A copy in whole words: bits are counted eight bytes at a time.
        stretch = history[:, start : start + BYTES_AT_ONCE]
        words = np.zeros((count, -(-stretch.shape[1] // 8)), dtype=np.uint64)
        words.view(np.uint8)[:, : stretch.shape[1]] = stretch
        for place in range(count):
            shared[place, place:] += np.bitwise_count(words[place:] & words[place]).sum(axis=1, dtype=np.int64)
    both: Int64[np.ndarray, "choices choices"] = np.maximum(shared, shared.T)
    return both


def _count(mask: Packed) -> int:
    return int(np.bitwise_count(mask).sum(dtype=np.int64))


def _check(packed: NDArray[Any], dimensions: int) -> None:
    if packed.dtype != np.uint8 or packed.ndim != dimensions:
        wanted = "a matrix of bytes, a row a choice," if dimensions == 2 else "a row of bytes"
        raise ValueError(f"masks are packed into {wanted} found {packed.dtype} of shape {packed.shape}")
