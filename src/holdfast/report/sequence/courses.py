"""Scores of every task and ability after every stage, by entrant and order: what the maps and the curves show."""

from __future__ import annotations

from typing import Any

import numpy as np

from holdfast.metrics.bootstrap import resample
from holdfast.metrics.tradeoff import Benchmark
from holdfast.report.sequence.analysis import Analysed, Measured

RESAMPLES = 1_000
DIGITS = 4

Order = tuple[str, ...]


def course_data(found: Analysed, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Entrant -> number of the order -> task or ability -> means, and ends of bands, from stage 0 on.

    Means are over the seeds that finished. Bands are 95% intervals over items and, of several seeds, over seeds.
    """
    return {
        each.name: {
            str(place): _of_order(found, each, order, resamples)
            for place, order in enumerate(found.evidence.orders)
            if any(chain.order == order for chain in each.row.chains)
        }
        for each in found.sequences
    }


def _of_order(found: Analysed, each: Measured, order: Order, resamples: int) -> dict[str, Any]:
    chains = [chain for chain in each.row.chains if chain.order == order]
    shown: dict[str, Any] = {}
    for task in (*order, *found.evidence.keep):
        base = found.scores.base(task)
        points = {
            f"{each.name} after {stage}": np.array(
                [found.scores.of(chain.stages[stage].test, task, each.name).values for chain in chains]
            )
            for stage in range(len(order))
        }
        # The stages of a chain are one training, so that a draw of the seeds is a draw for all of them.
        benchmark = Benchmark(task, "keep", np.array(base.values), points, np.array(base.weights))
        drawn = resample([benchmark], resamples, trainings=dict.fromkeys(points, each.name))
        levels = [drawn.base_means[task], *(drawn.base_means[task] + drawn.differences[name, task] for name in points)]
        low, high = np.quantile(np.stack(levels), (0.025, 0.975), axis=1)
        means = [base.mean, *(base.mean + drawn.estimate(name, task) for name in points)]
        shown[task] = {"mean": _short(means), "low": _short(low), "high": _short(high)}
    return {"seeds": sorted(chain.seed for chain in chains), "scores": shown}


def base_course(found: Analysed) -> dict[str, float]:
    """Task or ability -> score of the untouched base."""
    tasks = (*found.evidence.tasks, *found.evidence.keep)
    return {task: round(found.scores.base(task).mean, DIGITS) for task in tasks}


def units_of(found: Analysed) -> dict[str, str]:
    """Task or ability -> unit of its scores."""
    return {task: found.scores.base(task).unit for task in (*found.evidence.tasks, *found.evidence.keep)}


def _short(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
