"""What the numbers of sequences could have been with other items, other seeds and other orders.

In every resample the items of a task are drawn with replacement once, for all stages and all runs alike, so that what
makes an item easy or hard for everyone cancels out of every difference. A metric is computed in each run's own order,
then averaged over the runs that are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.core.keys import key_of
from holdfast.metrics.continual.metric import Metric
from holdfast.metrics.continual.runs import SequenceRun, check_runs
from holdfast.metrics.tradeoff import seed_mean

CELLS_AT_ONCE: Final = 2**21
"""Item counts held in memory at a time (16 MiB)."""


class Source(NamedTuple):
    """Something runs differ in, and which of its levels are drawn.

    Attributes:
        name: ``orders``, ``seeds``, or ``runs``.
        share: How much of the mean of a level each run makes up.
        drawn_frac: Share of the draws that fell on each level, in every resample.
    """

    name: str
    share: Float[np.ndarray, "levels runs"]
    drawn_frac: Float[np.ndarray, "resamples levels"]


@dataclass(frozen=True, eq=False)
class SequenceDraws:
    """The matrices of all runs in every resample of the items; draw b of all of them comes from the same items.

    Attributes:
        runs: The data.
        scores: A matrix a resample and run, in the order of that run.
        alone: Scores outside the sequence, likewise; NaN where there are none.
        sources: What else is drawn.
    """

    runs: tuple[SequenceRun, ...]
    scores: Float[np.ndarray, "resamples runs stages tasks"]
    alone: Float[np.ndarray, "resamples runs tasks"]
    sources: tuple[Source, ...]

    def estimate(self, metric: Metric) -> float:
        """Mean of a metric over the runs, in the data as they are.

        Args:
            metric: Which.

        Returns:
            The number.

        Raises:
            NotMeasurable: If it is undefined in one of the runs; says in which.
        """
        values = []
        for run in self.runs:
            try:
                values.append(metric(run.matrix, alone=run.ceiling))
            except NotMeasurable as undefined:
                raise NotMeasurable(f"{undefined}; {run}") from undefined
        return float(seed_mean(np.array(values)))

    def draws(self, metric: Metric) -> Float[np.ndarray, " resamples"]:
        """The same in every resample.

        Draws of two methods are paired over items where seed and names of tasks are the same, and over runs where
        those are of the same orders and seeds: their difference is the difference in every resample.

        Args:
            metric: Which.

        Returns:
            One number a resample.

        Raises:
            NotMeasurable: If it is undefined in a run or a resample; says how many.
        """
        self.estimate(metric)
        view = metric.view(self.scores, self.alone)
        if zero := int(metric.divides_by_zero(view).any(axis=(1, 2)).sum()):
            raise NotMeasurable(
                f"undefined: {metric.name} divides by {metric.over_spoken}, which is 0 in {zero:,} of "
                f"{len(self.scores):,} resamples of the items"
            )
        by_run = metric.terms(view).mean(axis=-1)
        centre = seed_mean(by_run)
        deviation = by_run - centre[:, np.newaxis]
        result = centre.copy()
        for _, share, drawn_frac in self.sources:
            levels = len(share)
            result += np.sqrt(levels / (levels - 1)) * (drawn_frac * (deviation @ share.T)).sum(axis=1)
        return result


def resample_runs(runs: Sequence[SequenceRun], resamples: int = 10_000, seed: int = 0) -> SequenceDraws:
    """Draw items and runs with replacement, again and again.

    Where every order was trained with every seed, orders and seeds are drawn apart: runs of one order are alike, and
    drawn one by one they would seem to be more evidence about orders than they are. What an order and a seed have
    only together is then drawn twice, and such intervals err on the wide side. Otherwise whole runs are drawn. The
    mean of L levels drawn with replacement has (L - 1) / L of the variance it should have, so that its deviation is
    scaled by sqrt(L / (L - 1)), which mends the variance and not the tails: with three orders that truly differ
    intervals are still too narrow. With one run only items are drawn, and the estimate says so.

    Args:
        runs: Of the same tasks and items, in any orders and with any seeds.
        resamples: How many times to draw.
        seed: Seed of the draws.

    Returns:
        The draws; 8 bytes a resample, run and cell.

    Raises:
        UnusableScores: If the runs are not repetitions of each other.
        ValueError: If no resamples are asked for.
    """
    if resamples < 1:
        raise ValueError(f"at least one resample is needed, asked for {resamples}")
    check_runs(runs)
    tasks = len(runs[0].order)
    # Stages and, in the last row, what was reached outside the sequence.
    drawn = np.full((resamples, len(runs), tasks + 2, tasks), np.nan)
    for task in runs[0].order:
        absent = np.full(runs[0].items[task].shape[1], np.nan)
        rows = np.stack([np.vstack([run.items[task], run.alone.get(task, absent)]) for run in runs])
        means = _draw_items(rows.reshape(-1, absent.size), resamples, _generator(seed, "items", task))
        for number, run in enumerate(runs):
            of_run = means[:, number * (tasks + 2) : (number + 1) * (tasks + 2)]
            drawn[:, number, :, run.order.index(task)] = of_run
    sources = tuple(
        Source(name, share, _draw_levels(len(share), resamples, _generator(seed, "levels", name)))
        for name, share in _levels(runs).items()
    )
    return SequenceDraws(tuple(runs), drawn[:, :, :-1], drawn[:, :, -1], sources)


def _generator(seed: int, what: str, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, int(key_of({what: name}), base=16)])


def _draw_items(
    rows: Float[np.ndarray, "rows items"], resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "resamples rows"]:
    """Mean of every row in every resample of the items; NaN where the row is."""
    items = rows.shape[1]
    measured = ~np.isnan(rows[:, 0])
    table = rows[measured].T / items
    means = np.full((resamples, len(rows)), np.nan)
    at_once = max(1, CELLS_AT_ONCE // items)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = generator.integers(items, size=(count, items)) + items * np.arange(count)[:, np.newaxis]
        often = np.bincount(drawn.ravel(), minlength=count * items).reshape(count, items)
        means[start : start + count, measured] = often.astype(np.float64) @ table
    return means


def _levels(runs: Sequence[SequenceRun]) -> dict[str, Float[np.ndarray, "levels runs"]]:
    """What runs differ in -> share of every run in the mean of each level; empty for one run."""
    orders, seeds = ([*dict.fromkeys(of)] for of in ([run.order for run in runs], [run.seed for run in runs]))
    if len(orders) * len(seeds) != len(runs):
        return {"runs": np.eye(len(runs))}
    levels = {
        "orders": np.array([[run.order == order for run in runs] for order in orders], dtype=np.float64),
        "seeds": np.array([[run.seed == seed for run in runs] for seed in seeds], dtype=np.float64),
    }
    return {name: held / held.sum(axis=1, keepdims=True) for name, held in levels.items() if len(held) > 1}


def _draw_levels(levels: int, resamples: int, generator: np.random.Generator) -> Float[np.ndarray, "resamples levels"]:
    drawn: Float[np.ndarray, "resamples levels"] = (
        generator.multinomial(levels, np.full(levels, 1 / levels), size=resamples) / levels
    )
    return drawn
