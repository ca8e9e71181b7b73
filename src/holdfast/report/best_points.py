"""Every entrant at the best points of its runs, beside where the runs ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from holdfast.core.evidence import RANKED, Entrant, Evidence
from holdfast.metrics.bootstrap import Resamples, paired_interval, resample
from holdfast.metrics.frontier import frontier_shares
from holdfast.metrics.operating_point.finding import find_share
from holdfast.metrics.tradeoff import BASE, FORGETTING, GAIN, Benchmark, score
from holdfast.report.benchmarks import corner_of, main_benchmarks, only
from holdfast.report.comparison import RewoundResult

ENDED = "at the end: "
"""Stands before the name of an entrant where it ended, among entrants at their best points."""


def best_points(
    evidence: Evidence, complete: Sequence[Entrant], headline: Sequence[str], count: int, level: float
) -> Mapping[str, RewoundResult]:
    """What each entrant gains and forgets at its best points, which validation items chose and test items score.

    Args:
        evidence: What was measured.
        complete: Entrants that have a result.
        headline: Kept tasks whose mean is forgetting.
        count: Resamples of the bootstrap.
        level: Of the intervals.

    Returns:
        A result for each entrant of which a run was rewound; empty if the comparison did not look for best points.
    """
    rewound = evidence.rewound()
    if rewound is None:
        return {}
    labels = {entrant.label for entrant in complete}
    there = [entrant for entrant in rewound.entrants if entrant.label in labels]
    drawn = resample(_paired(evidence, complete, there, headline), count)
    ranked = [entrant.label for entrant in there if entrant.standing in RANKED]
    standings = frontier_shares(only(drawn, ranked), corner_of(evidence, headline))
    frontier = {label for label in ranked if standings.of[label].on_frontier}
    return {
        entrant.label: _result(entrant, drawn, entrant.label in frontier, level)
        for entrant in there
        if any(run.rewound for run in entrant.runs)
    }


def _paired(
    evidence: Evidence, ended: Sequence[Entrant], best: Sequence[Entrant], headline: Sequence[str]
) -> list[Benchmark]:
    """Benchmarks with every entrant twice, so that its two places are compared item by item and seed by seed."""
    pairs = zip(main_benchmarks(evidence, ended, headline), main_benchmarks(evidence, best, headline), strict=True)
    return [
        replace(after, entrants={**after.entrants, **{ENDED + n: scores for n, scores in before.entrants.items()}})
        for before, after in pairs
    ]


def _result(entrant: Entrant, drawn: Resamples, on_frontier: bool, level: float) -> RewoundResult:
    label, ended = entrant.label, ENDED + entrant.label
    gain, forgetting = (paired_interval(drawn, label, BASE, quantity, level) for quantity in (GAIN, FORGETTING))
    undone = paired_interval(drawn, ended, label, FORGETTING, level)
    kept = find_share(drawn, label, ended, GAIN, level)
    found = [run.rewound for run in entrant.runs if run.rewound]
    return RewoundResult(
        path=found[0].path,
        rule=found[0].rule,
        t=tuple(1.0 if run.rewound is None else run.rewound.t for run in entrant.runs),
        step_frac=fmean(1.0 if run.rewound is None else run.rewound.step_frac for run in entrant.runs),
        left=sum(run.rewound is None or run.rewound.t == 1 for run in entrant.runs),
        evaluations=sum(each.evaluations for each in found),
        gain=gain.value,
        gain_interval=(float(gain.spread[0]), float(gain.spread[1])),
        forgetting=forgetting.value,
        forgetting_interval=(float(forgetting.spread[0]), float(forgetting.spread[1])),
        undone=undone.value,
        undone_interval=(float(undone.spread[0]), float(undone.spread[1])),
        gain_kept_frac=kept.value,
        gain_kept_interval=None if kept.spread is None else (kept.spread.low, kept.spread.high),
        target_score=score(drawn.benchmarks, label, "learn"),
        kept_score=score(drawn.benchmarks, label, "keep"),
        on_frontier=on_frontier,
    )
