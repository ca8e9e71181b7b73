"""The search of learning rates over whole sequences: equal tries for every row, judged on validation items alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdfast.arena.executor import Watch
from holdfast.arena.rates import choose, judged, rates_around
from holdfast.arena.search import Search, further
from holdfast.arena.sequence.chain import ChainJob
from holdfast.arena.sequence.plan import SequencePlan
from holdfast.arena.sequence.rows import Row
from holdfast.core.scores import PointScores

Do = Callable[[list[ChainJob]], Mapping[str, str]]
"""Runs chains to their end, and says of those that did not finish why, by name."""


def search_rates(plan: SequencePlan, base_identity: str, base: PointScores, do: Do, watch: Watch) -> dict[str, Search]:
    """Try rates for every row on its first chain, and further ones where the best lies at an end of those tried.

    A rate is judged by what the model scores after the last stage: on all tasks of the chain, and on abilities that no
    stage trains.

    Args:
        plan: The plan.
        base_identity: Name of the base's weights.
        base: Scores of the untouched base on validation items.
        do: Runs chains to their end.
        watch: For progress.

    Returns:
        The search of every row by label.
    """
    recipe = plan.recipe
    searches = {label: Search(unspent=recipe.learning_rate_extra_tries) for label in plan.rows}
    wanted = {
        label: rates_around(
            row.method.learning_rate * recipe.learning_rate_scale,
            recipe.learning_rate_tries,
            recipe.learning_rate_spacing,
        )
        for label, row in plan.rows.items()
    }
    while any(wanted.values()):
        jobs = {(label, rate): _chain(plan, label, rate, base_identity) for label in wanted for rate in wanted[label]}
        watch.stage("learning rates", len(jobs))
        problems = do(list(jobs.values()))
        for (label, rate), job in jobs.items():
            _take(searches[label], rate, job, problems, plan, base)
        wanted = {
            label: further(found, recipe.learning_rate_tries, recipe.learning_rate_spacing)
            for label, found in searches.items()
        }
    return searches


def _chain(plan: SequencePlan, label: str, rate: float, base_identity: str) -> ChainJob:
    row: Row = plan.rows[label]
    stages = plan.lessons_of(row)[0]
    return plan.chain_job(row, stages, rate, plan.recipe.search_seed, base_identity, reported=False)


def _take(
    found: Search, rate: float, job: ChainJob, problems: Mapping[str, str], plan: SequencePlan, base: PointScores
) -> None:
    last = job.stages[-1]
    scores = last.run.scores(last.point, "validation")
    learned = tuple(task for stage in job.stages for task in stage.lesson.tasks)
    found.tried[rate] = None if scores is None else judged(scores, base, learned, tuple(plan.curriculum.keep))
    if scores is None:
        found.failures[rate] = job.failure or problems[job.name]
    found.chosen = choose(found.tried, plan.recipe.learning_rate_rule)
    found.by_target = choose(found.tried, "target")
