"""From evidence to comparison: the statistics of every entrant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from holdfast.core.errors import NotMeasurable
from holdfast.core.evidence import RANKED, CurvePoint, Entrant, Evidence, SeedRun
from holdfast.core.scores import TaskScores
from holdfast.metrics.bootstrap import Resamples, paired_interval, resample
from holdfast.metrics.frontier import Standings, frontier_shares
from holdfast.metrics.significance import seed_interval
from holdfast.metrics.tradeoff import BASE, FORGETTING, GAIN, Benchmark, Role, retention_frac, score
from holdfast.report.benchmarks import (
    DIVERGENCE,
    corner_of,
    failure_of,
    headline_of,
    main_benchmarks,
    only,
    reported,
    side_benchmarks,
    task_scores,
)
from holdfast.report.best_points import best_points
from holdfast.report.comparison import (
    Comparison,
    PointResult,
    RewoundResult,
    Span,
    StepResult,
    TaskResult,
    Versus,
)
from holdfast.report.notes import notes_on
from holdfast.report.versus import versus_lora

LEVEL = 0.95


@dataclass(frozen=True)
class _Drawn:
    """What all entrants have in common once everything is resampled.

    Attributes:
        evidence: What was measured.
        headline: Kept tasks whose mean is reported.
        resamples: Target and headline.
        side: Everything else, where there is anything.
        standings: The frontier of the base and the ranked entrants.
        overall: The frontier of everybody.
        versus: Entrant -> its comparison with LoRA.
        rewound: Entrant -> its result at its best points.
    """

    evidence: Evidence
    headline: tuple[str, ...]
    resamples: Resamples
    side: Resamples | None
    standings: Standings
    overall: Standings
    versus: Mapping[str, Versus]
    rewound: Mapping[str, RewoundResult]

    @property
    def main(self) -> tuple[Benchmark, ...]:
        """The benchmarks of target and headline."""
        return self.resamples.benchmarks


def analysed(evidence: Evidence) -> Comparison:
    """The comparison that the evidence holds.

    Intervals are paired over the test items of the base and every entrant, and over training seeds where there are
    several; frontier shares and areas come from the same resamples.
    """
    count = int(evidence.recipe["resamples"])
    failures = {entrant.label: failure_of(entrant, evidence) for entrant in evidence.entrants}
    complete = [entrant for entrant in evidence.entrants if failures[entrant.label] is None]
    headline = headline_of(evidence)
    resamples = resample(main_benchmarks(evidence, complete, headline), count)
    aside = side_benchmarks(evidence, complete, headline)
    corner = corner_of(evidence, headline)
    drawn = _Drawn(
        evidence=evidence,
        headline=headline,
        resamples=resamples,
        side=resample(aside, count) if aside else None,
        standings=frontier_shares(only(resamples, [e.label for e in complete if e.standing in RANKED]), corner),
        overall=frontier_shares(resamples, corner),
        versus=versus_lora(resamples, [entrant.label for entrant in complete]),
        rewound=best_points(evidence, complete, headline, count, LEVEL),
    )
    points = [_base_point(drawn)]
    for entrant in evidence.entrants:
        failure = failures[entrant.label]
        points.append(_point(entrant, drawn) if failure is None else _failed_point(entrant, failure))
    return Comparison(
        base=evidence.base,
        base_params=evidence.base_params,
        budget_params=evidence.entrants[0].asked_params if evidence.entrants else 0,
        learn=evidence.learn,
        keep=evidence.keep,
        headline=headline,
        gain_unit=task_scores(evidence.base_test, evidence.learn[0]).unit,
        forgetting_unit=task_scores(evidence.base_test, headline[0]).unit,
        level=LEVEL,
        resamples=count,
        points=tuple(points),
        notes=tuple(notes_on(evidence, headline)),
        failures=tuple(f"{label}: {failure}" for label, failure in failures.items() if failure is not None),
        recipe=evidence.recipe,
        environment=evidence.environment,
    )


def _base_point(drawn: _Drawn) -> PointResult:
    standing, evidence = drawn.standings.of[BASE], drawn.evidence
    return PointResult(
        name=BASE,
        gain=0.0,
        gain_interval=(0.0, 0.0),
        forgetting=0.0,
        forgetting_interval=(0.0, 0.0),
        target_score=score(drawn.main, BASE, "learn"),
        kept_score=score(drawn.main, BASE, "keep"),
        on_frontier=standing.on_frontier,
        non_dominated_overall=drawn.overall.of[BASE].on_frontier,
        non_dominated_frac=standing.non_dominated_frac,
        added_area=0.0,
        added_area_interval=(0.0, 0.0),
        tasks=tuple(_base_task(evidence, task) for task in (*evidence.learn, *evidence.keep)),
        curve=tuple(_curve([CurvePoint(step=0, scores=evidence.base_validation)], evidence.learn, drawn.headline)),
    )


def _base_task(evidence: Evidence, task: str) -> TaskResult:
    scores = task_scores(evidence.base_test, task)
    return TaskResult(
        task=task,
        role="learn" if task in evidence.learn else "keep",
        unit=scores.unit,
        score=scores.mean,
        change=0.0,
        change_interval=(0.0, 0.0),
        chance_frac=scores.chance_frac,
        truncated_frac=scores.truncated_frac,
    )


def _failed_point(entrant: Entrant, failure: str) -> PointResult:
    return PointResult(**_known(entrant), ranked=False, failure=failure)


def _known(entrant: Entrant) -> dict[str, Any]:
    """What is known of an entrant before any of its runs is read."""
    return {
        "name": entrant.label,
        "setting": entrant.setting,
        "standing": entrant.standing,
        "trainable_params": entrant.trainable_params,
        "budget_gap_frac": entrant.budget_gap_frac,
        "learning_rate": entrant.learning_rate,
        "tries": len(entrant.tries),
        "unspent_tries": entrant.unspent_tries,
        "seeds": len(entrant.runs),
        "served_as": entrant.served_as,
        "moves_base": entrant.moves_base,
        "isolation": {run.seed: run.isolation for run in entrant.runs if run.isolation is not None},
    }


def _point(entrant: Entrant, drawn: _Drawn) -> PointResult:
    label = entrant.label
    ranked = entrant.standing in RANKED
    # Areas and shares of an entrant that is not ranked are those against everybody.
    standing = (drawn.standings if ranked else drawn.overall).of[label]
    gain, forgetting = (paired_interval(drawn.resamples, label, BASE, quantity) for quantity in (GAIN, FORGETTING))
    facts = _facts(entrant.runs)
    costs = {record.quantity: record.value for record in entrant.costs}
    checkpoints = [point for run in entrant.runs for point in run.curve]
    return PointResult(
        **_known(entrant),
        ranked=ranked,
        gain=gain.value,
        gain_interval=_span(gain.spread),
        gain_seed_interval=_over_seeds(drawn.main, label, "learn"),
        forgetting=forgetting.value,
        forgetting_interval=_span(forgetting.spread),
        forgetting_seed_interval=_over_seeds(drawn.main, label, "keep"),
        target_score=score(drawn.main, label, "learn"),
        kept_score=score(drawn.main, label, "keep"),
        on_frontier=ranked and standing.on_frontier,
        non_dominated_overall=drawn.overall.of[label].on_frontier,
        non_dominated_frac=standing.non_dominated_frac,
        dominated_by_base_frac=standing.dominated_by_base_frac,
        added_area=standing.added_area,
        added_area_interval=_span(standing.added_area_spread),
        tasks=tuple(_task_results(entrant, drawn)),
        curve=tuple(_curve(checkpoints, drawn.evidence.learn, drawn.headline)),
        versus_lora=drawn.versus.get(label),
        rewound=drawn.rewound.get(label),
        trainable_bytes=facts.get("trainable_bytes"),
        stored_bytes=facts.get("stored_bytes"),
        step_time_rel_lora=costs.get("step_time_rel_lora"),
        peak_memory_bytes=costs.get("peak_memory"),
        mergeable=entrant.served_as != "live",
        start_distance=facts.get("start_distance"),
        update_norm_rel=facts.get("update_norm_rel"),
        orthogonality_defect=facts.get("orthogonality_defect"),
        reload_difference=facts.get("reload_difference"),
    )


def _task_results(entrant: Entrant, drawn: _Drawn) -> Iterable[TaskResult]:
    for task in (*drawn.evidence.learn, *drawn.evidence.keep):
        source = drawn.resamples if task in {b.name for b in drawn.main} else drawn.side
        assert source is not None, "a task outside the headline is among the others"
        benchmark = next(b for b in source.benchmarks if b.name == task)
        change = paired_interval(source, entrant.label, BASE, task)
        scores = [task_scores(reported(run), task) for run in entrant.runs]
        divergence, divergence_span = _divergence(drawn.side, task, entrant.label)
        yield TaskResult(
            task=task,
            role=benchmark.role,
            unit=scores[0].unit,
            score=fmean(s.mean for s in scores),
            change=change.value,
            change_interval=_span(change.spread),
            retention_frac=_retained(benchmark, entrant.label, scores[0]),
            chance_frac=scores[0].chance_frac,
            truncated_frac=fmean(s.truncated_frac for s in scores),
            kl_nats_per_token=divergence,
            kl_interval=divergence_span,
        )


def _divergence(side: Resamples | None, task: str, label: str) -> tuple[float, Span] | tuple[None, None]:
    """KL(base || entrant) on a text with its interval, where it was measured."""
    found = [b for b in side.benchmarks if b.name == DIVERGENCE + task] if side is not None else []
    if side is None or not found or label not in found[0].entrants:
        return None, None
    minus = paired_interval(side, label, BASE, DIVERGENCE + task)
    return 0.0 - minus.value, (0.0 - minus.spread.high, 0.0 - minus.spread.low)


def _retained(benchmark: Benchmark, label: str, scores: TaskScores) -> float | None:
    if scores.unit != "frac" or benchmark.role != "keep":
        return None
    try:
        return retention_frac(benchmark, label, scores.chance_frac)
    except NotMeasurable:
        return None


def _over_seeds(benchmarks: Sequence[Benchmark], label: str, role: Role) -> Span | None:
    parts = [benchmark.mean_by_seed(label) for benchmark in benchmarks if benchmark.role == role]
    means = np.mean(parts, axis=0) * (1 if role == "learn" else -1)
    return _span(seed_interval(means, LEVEL)) if len(means) > 1 else None


def _curve(checkpoints: Sequence[CurvePoint], learn: Sequence[str], headline: Sequence[str]) -> Iterable[StepResult]:
    """Means over the seeds that were scored on everything at a step."""
    means: dict[int, list[tuple[float, float]]] = {}
    for point in checkpoints:
        found = {scores.task: scores.mean for scores in point.scores.tasks}
        if found.keys() >= {*learn, *headline}:
            place = fmean(found[task] for task in learn), fmean(found[task] for task in headline)
            means.setdefault(point.step, []).append(place)
    for step, places in sorted(means.items()):
        yield StepResult(step=step, target=fmean(t for t, _ in places), kept=fmean(k for _, k in places))


def _facts(runs: Sequence[SeedRun]) -> dict[str, float]:
    """Median over seeds of what was measured of the runs themselves."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for fact in run.facts:
            if fact.value is not None:
                values.setdefault(fact.quantity, []).append(fact.value)
    return {quantity: median(found) for quantity, found in values.items()}


def _span(interval: tuple[float, float]) -> Span:
    return float(interval[0]), float(interval[1])
