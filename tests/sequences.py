"""Simulated sequences of trainings whose truth is known."""

from __future__ import annotations

from itertools import islice, permutations

import numpy as np

from holdfast.metrics.continual import ScoreMatrix
from holdfast.metrics.continual.metric import Metric
from holdfast.metrics.continual.runs import SequenceRun

LOGITS = np.array([(-2, -2, -1), (1.5, -1.5, -1), (1.2, 0.5, -0.8), (0.6, 0.2, 2)])
"""How likely a right answer is after each stage; columns are places in the order of training."""


def simulated(
    rng: np.random.Generator, items: int, orders: int = 1, seeds: int = 1, logits: np.ndarray = LOGITS, **noise: float
) -> list[SequenceRun]:
    """Runs whose items differ in difficulty; orders, seeds and runs shift what is left of earlier tasks at the end."""
    tasks = "abcdef"[: logits.shape[1]]
    hard = {task: rng.normal(size=items) for task in tasks}
    of_order, of_seed = rng.normal(0, noise.get("order", 0), orders), rng.normal(0, noise.get("seed", 0), seeds)
    runs = []
    for order, trained in enumerate(islice(permutations(tasks), orders)):
        for seed in range(seeds):
            shift = of_order[order] + of_seed[seed] + rng.normal(0, noise.get("run", 0))
            scores = {}
            for place, task in enumerate(trained):
                likely = 1 / (1 + np.exp(-logits[:, place, np.newaxis] - hard[task]))
                likely[-1] += shift if place < len(tasks) - 1 else 0.0
                scores[task] = (rng.uniform(size=likely.shape) < likely).astype(float)
            alone = {
                task: (rng.uniform(size=items) < 1 / (1 + np.exp(-3 - hard[task]))).astype(float) for task in tasks
            }
            runs.append(SequenceRun(trained, seed, scores, alone))
    return runs


def truth(metric: Metric, logits: np.ndarray = LOGITS) -> float:
    hard = np.random.default_rng(0).normal(size=200_000)
    return metric(ScoreMatrix.of([[float(np.mean(1 / (1 + np.exp(-at - hard)))) for at in row] for row in logits]))
