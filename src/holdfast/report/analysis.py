"""From evidence to comparison: the statistics of every entrant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from statistics import fmean, median

import numpy as np

from holdfast.core.errors import NotMeasurable
from holdfast.core.evidence import RANKED, Entrant, Evidence, SeedRun
from holdfast.core.record import Record
from holdfast.core.scores import PointScores, TaskScores
from holdfast.metrics.bootstrap import Resamples, paired_interval, resample
from holdfast.metrics.frontier import Reference, Standings, frontier_shares
from holdfast.metrics.significance import bootstrap_p, holm, seed_interval
from holdfast.metrics.tradeoff import BASE, FORGETTING, GAIN, Benchmark, Role, retention_frac, score
from holdfast.report.comparison import Comparison, PointResult, Span, StepResult, TaskResult, Versus

LEVEL = 0.95
DIVERGENCE = "divergence of "
"""Stands before the name of a text among benchmarks: its items are minus the divergence from the base."""


def analysed(evidence: Evidence) -> Comparison:
    """The comparison that the evidence holds.

    Intervals are paired over the test items of the base and every entrant, and over training seeds where there are
    several; frontier shares and areas come from the same resamples.
    """
    count = int(evidence.recipe["resamples"])
    complete = [entrant for entrant in evidence.entrants if not _failure(entrant)]
    headline = _headline(evidence)
    main = _benchmarks(evidence, complete, headline)
    resamples = resample(main, count)
    extra = _texts(evidence, complete, headline)
    side = resample(extra, count) if extra else None
    corner = _corner(evidence, headline)
    ranked = [entrant.label for entrant in complete if entrant.standing in RANKED]
    standings = frontier_shares(_only(resamples, ranked), corner)
    overall = frontier_shares(resamples, corner)
    versus = _versus_lora(resamples, [entrant.label for entrant in complete])
    points = [_base_point(evidence, main, standings, overall)]
    for entrant in evidence.entrants:
        if entrant not in complete:
            points.append(_failed_point(entrant))
            continue
        tasks = tuple(_task_results(evidence, entrant, resamples, side))
        points.append(_point(entrant, main, resamples, tasks, standings, overall, versus.get(entrant.label), headline, evidence))
    failures = tuple(f"{point.name}: {point.failure}" for point in points if point.failure)
    return Comparison(
        base=evidence.base,
        base_params=evidence.base_params,
        budget_params=evidence.entrants[0].asked_params if evidence.entrants else 0,
        learn=evidence.learn,
        keep=evidence.keep,
        headline=headline,
        gain_unit=_task(evidence.base_test, evidence.learn[0]).unit,
        forgetting_unit=_task(evidence.base_test, headline[0]).unit,
        level=LEVEL,
        resamples=count,
        points=tuple(points),
        notes=tuple(_notes(evidence, headline)),
        failures=failures,
        recipe=evidence.recipe,
        environment=evidence.environment,
    )


def records_of(comparison: Comparison) -> list[Record]:
    """The numbers of a comparison as records, without costs: the same recipe gives the same records."""
    records = []
    for point in comparison.points:
        for quantity, unit in ((GAIN, comparison.gain_unit), (FORGETTING, comparison.forgetting_unit)):
            value = getattr(point, quantity)
            reason = None if value is not None else point.failure or "the base is what others are measured against"
            records.append(
                Record(
                    subject=point.name,
                    quantity=quantity,
                    value=value,
                    reason=reason,
                    unit=unit,
                    spread=getattr(point, f"{quantity}_interval"),
                )
            )
        for task in point.tasks:
            records.append(
                Record(
                    subject=point.name,
                    quantity="change",
                    site=task.task,
                    value=task.change,
                    unit=task.unit,
                    spread=task.change_interval,
                )
            )
            if task.kl_nats_per_token is not None:
                records.append(
                    Record(
                        subject=point.name,
                        quantity="kl_from_base",
                        site=task.task,
                        value=task.kl_nats_per_token,
                        unit="nats/token",
                        spread=task.kl_interval,
                    )
                )
    return records


def _headline(evidence: Evidence) -> tuple[str, ...]:
    """Kept tasks whose mean is reported: graded ones where there are any, since nats and shares have no common mean."""
    graded = tuple(task for task in evidence.keep if _task(evidence.base_test, task).unit == "frac")
    return graded or evidence.keep


def _benchmarks(evidence: Evidence, entrants: Sequence[Entrant], headline: Sequence[str]) -> list[Benchmark]:
    roles: list[tuple[str, Role]] = [(task, "learn") for task in evidence.learn]
    roles += [(task, "keep") for task in headline]
    return [_benchmark(evidence.base_test, entrants, task, role) for task, role in roles]


def _benchmark(base: PointScores, entrants: Sequence[Entrant], task: str, role: Role) -> Benchmark:
    scores = _task(base, task)
    return Benchmark(
        name=task,
        role=role,
        base=np.array(scores.values),
        entrants={entrant.label: np.array([_task(_test(run), task).values for run in entrant.runs]) for entrant in entrants},
        weights=np.array(scores.weights),
    )


def _texts(evidence: Evidence, entrants: Sequence[Entrant], headline: Sequence[str]) -> list[Benchmark]:
    """Kept tasks outside the headline, and the divergence on every text."""
    found = [
        _benchmark(evidence.base_test, entrants, task, "keep") for task in evidence.keep if task not in headline
    ]
    for task in evidence.keep:
        scores = _task(evidence.base_test, task)
        if scores.kl_nats is None:
            continue
        weights = np.array(scores.weights)
        divergence = {
            entrant.label: np.array([np.array(_task(_test(run), task).kl_nats) / weights for run in entrant.runs])
            for entrant in entrants
        }
        found.append(
            Benchmark(
                name=DIVERGENCE + task,
                role="keep",
                base=np.zeros(len(weights)),
                entrants={label: -values for label, values in divergence.items()},
                weights=weights,
            )
        )
    return found


def _corner(evidence: Evidence, headline: Sequence[str]) -> Reference:
    """Where area is counted from: what a guess that knows nothing scores."""
    nothing = {"frac": 0.0, "nats/token": -log(evidence.vocabulary)}
    return (
        nothing[_task(evidence.base_test, evidence.learn[0]).unit],
        nothing[_task(evidence.base_test, headline[0]).unit],
    )


def _only(resamples: Resamples, labels: Sequence[str]) -> Resamples:
    """The same resamples without the entrants that are not ranked."""
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


def _base_point(
    evidence: Evidence, main: Sequence[Benchmark], standings: Standings, overall: Standings
) -> PointResult:
    standing = standings.of[BASE]
    return PointResult(
        name=BASE,
        gain=0.0,
        gain_interval=(0.0, 0.0),
        forgetting=0.0,
        forgetting_interval=(0.0, 0.0),
        target_score=score(main, BASE, "learn"),
        kept_score=score(main, BASE, "keep"),
        on_frontier=standing.on_frontier,
        non_dominated_overall=overall.of[BASE].on_frontier,
        non_dominated_frac=standing.non_dominated_frac,
        added_area=0.0,
        added_area_interval=(0.0, 0.0),
        tasks=tuple(_base_task(evidence, task) for task in (*evidence.learn, *evidence.keep)),
    )


def _base_task(evidence: Evidence, task: str) -> TaskResult:
    scores = _task(evidence.base_test, task)
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


def _failed_point(entrant: Entrant) -> PointResult:
    return PointResult(
        name=entrant.label,
        setting=entrant.setting,
        standing=entrant.standing,
        ranked=False,
        trainable_params=entrant.trainable_params,
        budget_gap_frac=entrant.budget_gap_frac,
        learning_rate=entrant.learning_rate,
        tries=len(entrant.tries),
        unspent_tries=entrant.unspent_tries,
        seeds=len(entrant.runs),
        served_as=entrant.served_as,
        moves_base=entrant.moves_base,
        failure=_failure(entrant),
    )


def _point(
    entrant: Entrant,
    main: Sequence[Benchmark],
    resamples: Resamples,
    tasks: tuple[TaskResult, ...],
    standings: Standings,
    overall: Standings,
    versus: Versus | None,
    headline: Sequence[str],
    evidence: Evidence,
) -> PointResult:
    label = entrant.label
    ranked = entrant.standing in RANKED
    # Areas and shares of an entrant that is not ranked are those against everybody.
    standing = standings.of[label] if ranked else overall.of[label]
    gain, forgetting = (paired_interval(resamples, label, BASE, quantity) for quantity in (GAIN, FORGETTING))
    facts = _facts(entrant.runs)
    costs = {record.quantity: record.value for record in entrant.costs}
    return PointResult(
        name=label,
        setting=entrant.setting,
        standing=entrant.standing,
        ranked=ranked,
        trainable_params=entrant.trainable_params,
        budget_gap_frac=entrant.budget_gap_frac,
        learning_rate=entrant.learning_rate,
        tries=len(entrant.tries),
        unspent_tries=entrant.unspent_tries,
        seeds=len(entrant.runs),
        gain=gain.value,
        gain_interval=_span(gain.spread),
        gain_seed_interval=_over_seeds(main, label, "learn"),
        forgetting=forgetting.value,
        forgetting_interval=_span(forgetting.spread),
        forgetting_seed_interval=_over_seeds(main, label, "keep"),
        target_score=score(main, label, "learn"),
        kept_score=score(main, label, "keep"),
        on_frontier=ranked and standing.on_frontier,
        non_dominated_overall=overall.of[label].on_frontier,
        non_dominated_frac=standing.non_dominated_frac,
        dominated_by_base_frac=standing.dominated_by_base_frac,
        added_area=standing.added_area,
        added_area_interval=_span(standing.added_area_spread),
        tasks=tasks,
        curve=tuple(_curve(entrant.runs, evidence.learn, headline)),
        versus_lora=versus,
        trainable_bytes=facts.get("trainable_bytes"),
        stored_bytes=facts.get("stored_bytes"),
        step_time_rel_lora=costs.get("step_time_rel_lora"),
        peak_memory_bytes=costs.get("peak_memory"),
        mergeable=entrant.served_as != "live",
        served_as=entrant.served_as,
        moves_base=entrant.moves_base,
        start_distance=facts.get("start_distance"),
        update_norm_rel=facts.get("update_norm_rel"),
        orthogonality_defect=facts.get("orthogonality_defect"),
        reload_difference=facts.get("reload_difference"),
    )


def _task_results(
    evidence: Evidence, entrant: Entrant, resamples: Resamples, side: Resamples | None
) -> Iterable[TaskResult]:
    for task in (*evidence.learn, *evidence.keep):
        source = resamples if task in {b.name for b in resamples.benchmarks} else side
        assert source is not None, "a task outside the headline is among the others"
        benchmark = next(b for b in source.benchmarks if b.name == task)
        change = paired_interval(source, entrant.label, BASE, task)
        scores = [_task(_test(run), task) for run in entrant.runs]
        divergence = None
        if side is not None and DIVERGENCE + task in {b.name for b in side.benchmarks}:
            divergence = paired_interval(side, entrant.label, BASE, DIVERGENCE + task)
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
            kl_nats_per_token=None if divergence is None else -divergence.value,
            kl_interval=None if divergence is None else (-divergence.spread.high, -divergence.spread.low),
        )


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


def _curve(runs: Sequence[SeedRun], learn: Sequence[str], headline: Sequence[str]) -> Iterable[StepResult]:
    steps = sorted({point.step for run in runs for point in run.curve})
    for step in steps:
        scores = [point.scores for run in runs for point in run.curve if point.step == step]
        yield StepResult(
            step=step,
            target=fmean(_task(s, task).mean for s in scores for task in learn),
            kept=fmean(_task(s, task).mean for s in scores for task in headline),
        )


def _versus_lora(resamples: Resamples, labels: Sequence[str]) -> Mapping[str, Versus]:
    others = [label for label in labels if label != "lora"]
    if "lora" not in labels or not others:
        return {}
    adjusted = {
        quantity: holm([bootstrap_p(resamples.draws(o, quantity) - resamples.draws("lora", quantity)) for o in others])
        for quantity in (GAIN, FORGETTING)
    }
    found = {}
    for i, label in enumerate(others):
        gain, forgetting = (paired_interval(resamples, label, "lora", quantity) for quantity in (GAIN, FORGETTING))
        found[label] = Versus(
            gain=gain.value,
            gain_interval=_span(gain.spread),
            gain_p=float(adjusted[GAIN][i]),
            forgetting=forgetting.value,
            forgetting_interval=_span(forgetting.spread),
            forgetting_p=float(adjusted[FORGETTING][i]),
        )
    return found


def _notes(evidence: Evidence, headline: Sequence[str]) -> Iterable[str]:
    seeds = max((len(entrant.runs) for entrant in evidence.entrants), default=0)
    if seeds == 1:
        yield "One seed: intervals cover other test items, not other training seeds. Seed noise is not included."
    elif seeds < 5:
        yield (
            f"{seeds} seeds: intervals cover items and seeds; with so few seeds that truly differ they are too narrow. "
            "The t-interval over seeds stands beside them in the records."
        )
    apart = [entrant.label for entrant in evidence.entrants if entrant.standing not in RANKED]
    if apart:
        yield f"Shown apart, not ranked, since they cannot train the budget: {', '.join(apart)}."
    coarse = [f"{e.label} {e.budget_gap_frac:+.1%}" for e in evidence.entrants if e.standing == "coarse"]
    if coarse:
        yield f"Outside the budget's tolerance, at their nearest setting: {', '.join(coarse)}."
    aside = [task for task in evidence.keep if task not in headline]
    if aside:
        yield f"Not part of the mean forgetting, since losses and accuracies have no common mean: {', '.join(aside)}."
    if evidence.overlap_items:
        yield f"{evidence.overlap_items} training examples were left out because they are also evaluated."
    yield "Final checkpoints are compared. A point part-way back may be better for some of them."


def _failure(entrant: Entrant) -> str | None:
    if not entrant.runs:
        reasons = [rate.failure for rate in entrant.tries if rate.failure]
        return f"no learning rate worked: {reasons[0]}" if reasons else "it was not run"
    return next((f"seed {run.seed}: {run.failure}" for run in entrant.runs if run.test is None), None)


def _facts(runs: Sequence[SeedRun]) -> dict[str, float]:
    """Median over seeds of what was measured of the runs themselves."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for fact in run.facts:
            if fact.value is not None:
                values.setdefault(fact.quantity, []).append(fact.value)
    return {quantity: median(found) for quantity, found in values.items()}


def _test(run: SeedRun) -> PointScores:
    assert run.test is not None, "entrants without test scores are set aside before"
    return run.test


def _task(scores: PointScores, task: str) -> TaskScores:
    found = scores.of(task)
    if found is None:
        raise NotMeasurable(f"undefined: {task} missing")
    return found


def _span(interval: tuple[float, float]) -> Span:
    return float(interval[0]), float(interval[1])
