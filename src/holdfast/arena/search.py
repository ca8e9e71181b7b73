"""The search of learning rates: equal tries for every method, judged on validation items alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from holdfast.arena.executor import Watch
from holdfast.arena.jobs import RunJob
from holdfast.arena.plan import Plan
from holdfast.arena.rates import Judged, choose, judged, next_rate, rates_around
from holdfast.core.scores import PointScores
from holdfast.store.run import RunFolder

Do = Callable[[list[RunJob]], Mapping[str, str]]
"""Runs jobs to their end, and says of those that did not finish why, by name."""


@dataclass
class Search:
    """The rates of one method.

    Attributes:
        tried: Rates with what validation says of them; nothing for runs that failed.
        failures: Rates whose runs failed, with the reason.
        chosen: The rate to be used; nothing while all failed.
        by_target: The rate that the target score alone would choose.
        unspent: Further tries that were allowed and not needed.
    """

    tried: dict[float, Judged | None] = field(default_factory=dict)
    failures: dict[float, str] = field(default_factory=dict)
    chosen: float | None = None
    by_target: float | None = None
    unspent: int = 0


def search(plan: Plan, base_identity: str, base: PointScores, do: Do, watch: Watch) -> dict[str, Search]:
    """Try rates for every method, and further ones where the best lies at an end of those tried.

    Args:
        plan: The plan.
        base_identity: Name of the base's weights.
        base: Scores of the untouched base on validation items.
        do: Runs jobs to their end.
        watch: For progress.

    Returns:
        The search of every method by label.
    """
    recipe = plan.recipe
    searches = {label: Search(unspent=recipe.learning_rate_extra_tries) for label in plan.entrants}
    wanted = {
        label: rates_around(
            settled.method.learning_rate * recipe.learning_rate_scale,
            recipe.learning_rate_tries,
            recipe.learning_rate_spacing,
        )
        for label, settled in plan.entrants.items()
    }
    while any(wanted.values()):
        jobs = {
            (label, rate): plan.run_job(label, rate, recipe.search_seed, base_identity, reported=False)
            for label, rates in wanted.items()
            for rate in rates
        }
        watch.stage("learning rates", len(jobs))
        problems = do(list(jobs.values()))
        for (label, rate), job in jobs.items():
            _take(searches[label], rate, job, problems, plan, base)
        wanted = {
            label: further(found, recipe.learning_rate_tries, recipe.learning_rate_spacing)
            for label, found in searches.items()
        }
    return searches


def _take(found: Search, rate: float, job: RunJob, problems: Mapping[str, str], plan: Plan, base: PointScores) -> None:
    folder = RunFolder(job.folder)
    scores = folder.scores(job.final_point, "validation")
    contest = plan.contest
    found.tried[rate] = None if scores is None else judged(scores, base, tuple(contest.learn), tuple(contest.keep))
    if scores is None:
        found.failures[rate] = folder.failure() or problems[job.name]
    found.chosen = choose(found.tried, plan.recipe.learning_rate_rule)
    found.by_target = choose(found.tried, "target")


def further(found: Search, tries: int, spacing: float) -> tuple[float, ...]:
    """The next rate to try, if one is needed and allowed; it is taken off what is unspent.

    Args:
        found: What was tried.
        tries: Rates that were to be tried at first; a single one is no search.
        spacing: Ratio between neighbouring rates.
    """
    if found.chosen is None or not found.unspent or tries == 1:
        return ()
    rate = next_rate(found.tried, found.chosen, spacing)
    if rate is None:
        return ()
    found.unspent -= 1
    return (rate,)
