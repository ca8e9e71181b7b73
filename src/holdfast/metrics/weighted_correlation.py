"""Correlations and ranks in many resamples at once, from how often each checkpoint was drawn.

A resample is a row of counts, so that a checkpoint drawn twice weighs twice and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

from holdfast.metrics.interval import ROUNDING

UNEXPLAINED: Final = 1e-10
"""Share of a variance below which what covariates leave of it is rounding."""


def weighted_correlation(
    columns: Sequence[Float[np.ndarray, "*#resamples checkpoints"]], counts: Float[np.ndarray, "*resamples checkpoints"]
) -> Float[np.ndarray, "*resamples"]:
    """Correlation of the first two columns in every resample, the other columns held fixed.

    Args:
        columns: Values from `scaled` or `weighted_midranks`.
        counts: How often each checkpoint was drawn.

    Returns:
        One correlation a resample; NaN where a column does not vary, or the others leave nothing to correlate.
    """
    total = counts.sum(axis=-1, keepdims=True)
    centred = [column - (counts * column).sum(axis=-1, keepdims=True) / total for column in columns]
    size = len(columns)
    moments = np.empty((size, size, *counts.shape[:-1]))
    for i in range(size):
        for j in range(i, size):
            moments[i, j] = moments[j, i] = (counts * centred[i] * centred[j]).sum(axis=-1) / total[..., 0]
    variances = moments[range(size), range(size)]
    defined = (variances > ROUNDING**2).all(axis=0)
    for held in range(2, size):
        # A covariate that the ones before it explain has nothing of its own to remove.
        pivot = moments[held, held]
        adds = pivot > UNEXPLAINED * variances[held]
        explained = moments[:, held, np.newaxis] * moments[np.newaxis, held] / np.where(adds, pivot, 1.0)
        moments = moments - np.where(adds, explained, 0.0)
    left = moments[[0, 1], [0, 1]]
    defined &= (left > UNEXPLAINED * variances[:2]).all(axis=0)
    scale = np.sqrt(np.where(defined, left[0] * left[1], 1.0))
    found: Float[np.ndarray, "*resamples"] = np.where(defined, np.clip(moments[0, 1] / scale, -1.0, 1.0), np.nan)
    return found


def weighted_midranks(
    values: Float[np.ndarray, "*#resamples checkpoints"],
    counts: Float[np.ndarray, "*resamples checkpoints"],
    slack: float = 0.0,
) -> Float[np.ndarray, "*resamples checkpoints"]:
    """Mean rank of each checkpoint among as many copies of each as were drawn, divided by the number of all copies.

    Args:
        values: What is ranked; ties share the mean of their ranks.
        counts: How often each checkpoint was drawn.
        slack: Neighbours no further apart than this are tied.

    Returns:
        Ranks in [0, 1]; those of checkpoints that were not drawn weigh nothing later.
    """
    order = np.broadcast_to(np.argsort(values, axis=-1, kind="stable"), counts.shape)
    ordered = np.take_along_axis(np.broadcast_to(values, counts.shape), order, axis=-1)
    drawn = np.take_along_axis(counts, order, axis=-1)
    upto = np.cumsum(drawn, axis=-1)
    begins = np.ones(counts.shape, dtype=bool)
    begins[..., 1:] = np.diff(ordered, axis=-1) > slack
    ends = np.ones(counts.shape, dtype=bool)
    ends[..., :-1] = begins[..., 1:]
    # Counts only add up, so that the last beginning and the next end of a run of ties are running extremes.
    below = np.maximum.accumulate(np.where(begins, upto - drawn, 0.0), axis=-1)
    at_most = np.minimum.accumulate(np.where(ends, upto, np.inf)[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(counts.shape)
    np.put_along_axis(ranks, order, (below + at_most + 1) / 2, axis=-1)
    shares: Float[np.ndarray, "*resamples checkpoints"] = ranks / upto[..., -1:]
    return shares


def scaled(values: Float[np.ndarray, "*draws checkpoints"]) -> Float[np.ndarray, "*draws checkpoints"]:
    """Values moved and stretched to [0, 1], which correlations do not notice; all 0 where they are constant."""
    if is_constant(values):
        return np.zeros_like(values)
    low = values.min()
    moved: Float[np.ndarray, "*draws checkpoints"] = (values - low) / (values.max() - low)
    return moved


def is_constant(values: Float[np.ndarray, "*draws checkpoints"]) -> bool:
    """Whether values differ by no more than rounding."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())
