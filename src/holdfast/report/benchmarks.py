"""From item scores to benchmarks: what the statistics of a comparison are computed on."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from holdfast.core.errors import NotMeasurable
from holdfast.core.evidence import Entrant, Evidence, SeedRun
from holdfast.core.scores import PointScores, TaskScores
from holdfast.metrics.bootstrap import Resamples
from holdfast.metrics.frontier import Reference
from holdfast.metrics.tradeoff import BASE, Benchmark, Role

DIVERGENCE = "divergence of "
"""Stands before the name of a text among benchmarks: its items are minus the divergence from the base."""


def headline_of(evidence: Evidence) -> tuple[str, ...]:
    """Kept tasks whose mean is reported: graded ones where there are any, since nats and shares have no common mean."""
    graded = tuple(task for task in evidence.keep if task_scores(evidence.base_test, task).unit == "frac")
    return graded or evidence.keep


def main_benchmarks(evidence: Evidence, entrants: Sequence[Entrant], headline: Sequence[str]) -> list[Benchmark]:
    """The target and the kept tasks of the headline: gain and forgetting."""
    roles: list[tuple[str, Role]] = [(task, "learn") for task in evidence.learn]
    roles += [(task, "keep") for task in headline]
    return [_benchmark(evidence.base_test, entrants, task, role) for task, role in roles]


def side_benchmarks(evidence: Evidence, entrants: Sequence[Entrant], headline: Sequence[str]) -> list[Benchmark]:
    """Kept tasks outside the headline, and the divergence on every text for whom it was measured."""
    found = [_benchmark(evidence.base_test, entrants, task, "keep") for task in evidence.keep if task not in headline]
    for task in evidence.keep:
        weights = np.array(task_scores(evidence.base_test, task).weights)
        divergence = {}
        for entrant in entrants:
            sums = [task_scores(reported(run), task).kl_nats for run in entrant.runs]
            measured = [nats for nats in sums if nats is not None]
            if len(measured) == len(sums):
                divergence[entrant.label] = -np.array(measured) / weights
        if divergence:
            found.append(Benchmark(DIVERGENCE + task, "keep", np.zeros(len(weights)), divergence, weights))
    return found


def only(resamples: Resamples, labels: Sequence[str]) -> Resamples:
    """The same resamples with the base and these entrants alone."""
    kept = set(labels)
    return Resamples(
        benchmarks=tuple(
            Benchmark(b.name, b.role, b.base, {n: s for n, s in b.entrants.items() if n in kept}, b.weights)
            for b in resamples.benchmarks
        ),
        base_means=resamples.base_means,
        differences={key: draws for key, draws in resamples.differences.items() if key[0] in kept},
        seed_noise_included={n: f for n, f in resamples.seed_noise_included.items() if n in kept or n == BASE},
    )


def corner_of(evidence: Evidence, headline: Sequence[str]) -> Reference:
    """Where area is counted from: what a guess that knows nothing scores."""
    nothing = {"frac": 0.0, "nats/token": -log(evidence.vocabulary)}
    return (
        nothing[task_scores(evidence.base_test, evidence.learn[0]).unit],
        nothing[task_scores(evidence.base_test, headline[0]).unit],
    )


def failure_of(entrant: Entrant, evidence: Evidence) -> str | None:
    """Why an entrant cannot be compared with the base, if it cannot."""
    if not entrant.runs:
        reasons = [rate.failure for rate in entrant.tries if rate.failure]
        return f"no learning rate worked: {reasons[0]}" if reasons else "it was not run"
    for run in entrant.runs:
        if run.test is None:
            return f"seed {run.seed}: {run.failure or 'it was not tested'}"
        for task in (*evidence.learn, *evidence.keep):
            found = run.test.of(task)
            if found is None:
                return f"seed {run.seed}: undefined: {task} missing"
            if found.ids != task_scores(evidence.base_test, task).ids:
                return f"seed {run.seed}: undefined: {task} was asked with other items than the base"
    return None


def reported(run: SeedRun) -> PointScores:
    """Test scores of a run that has them."""
    assert run.test is not None, "entrants without test scores are set aside before"
    return run.test


def task_scores(scores: PointScores, task: str) -> TaskScores:
    """Scores on one task.

    Raises:
        NotMeasurable: If it is missing.
    """
    found = scores.of(task)
    if found is None:
        raise NotMeasurable(f"undefined: {task} missing")
    return found


def _benchmark(base: PointScores, entrants: Sequence[Entrant], task: str, role: Role) -> Benchmark:
    scores = task_scores(base, task)
    return Benchmark(
        name=task,
        role=role,
        base=np.array(scores.values),
        entrants={
            entrant.label: np.array([task_scores(reported(run), task).values for run in entrant.runs])
            for entrant in entrants
        },
        weights=np.array(scores.weights),
    )
