"""A comparison from its plan to its evidence: the base, the search of rates, the reported runs, the costs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from holdfast.arena.executor import Executor, Outcome, Watch
from holdfast.arena.jobs import Job, RunJob
from holdfast.arena.plan import Contest, Plan, planned
from holdfast.arena.search import Search, search
from holdfast.core.errors import HoldfastError
from holdfast.core.evidence import CurvePoint, Entrant, Evidence, RateTry, SeedRun
from holdfast.core.record import Record
from holdfast.store.files import sweep, write_text
from holdfast.store.run import RunFolder, locked, read_json, read_scores

EVIDENCE = "evidence.json"
LIBRARIES = ("holdfast", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "numpy", "scipy")


def compare(contest: Contest, output: Path, executor: Executor, watch: Watch) -> Evidence:
    """Run a comparison, or what is left of it, and write its evidence.

    Whatever is finished in the output folder is kept and not repeated, so a comparison that was killed is finished by
    the same call. Runs that fail are tried once more, then told in the evidence, and do not stop the others.

    Args:
        contest: What is compared.
        output: Folder of the comparison.
        executor: Where the jobs run.
        watch: For progress.

    Returns:
        The evidence, also written to ``evidence.json``.

    Raises:
        RecipeError: If budgets cannot be reached, or the target leaks into what is evaluated.
        HoldfastError: If the base cannot be scored, or another process is writing into the folder.
    """
    with locked(output):
        sweep(output)
        plan = planned(contest, output)
        for label, settled in plan.entrants.items():
            gap = (settled.trainable_params - settled.asked_params) / settled.asked_params
            watch.say(
                f"{label}: {settled.method.spec()} trains {settled.trainable_params:,} parameters "
                f"({gap:+.1%} of {settled.asked_params:,}: {settled.standing})"
            )
        if plan.items.without:
            watch.say(f"{len(plan.items.without)} training examples are also evaluated and are left out")
        watch.stage("the untouched base", 1)
        base_job = plan.base_job()
        need(executor.run([base_job], watch))
        base = read_json(base_job.file)
        validation = read_scores(plan.scores_of_base(plan.validation))
        problems: dict[str, str] = {}

        def do(jobs: list[RunJob]) -> dict[str, str]:
            problems.update(problems_of(executor, jobs, watch))
            return problems

        searches = search(plan, base["identity"], validation, do, watch)
        runs = {
            label: [
                plan.run_job(label, found.chosen, seed, base["identity"], reported=True) for seed in plan.recipe.seeds
            ]
            if found.chosen is not None
            else []
            for label, found in searches.items()
        }
        reported = [job for jobs in runs.values() for job in jobs]
        watch.stage("reported runs", len(reported))
        do(reported)
        watch.stage("costs", 1)
        cost_job = plan.cost_job(base["identity"])
        need(executor.run([cost_job], watch))
        seconds = read_json(cost_job.file)
        evidence = Evidence(
            recipe=plan.recipe.model_dump(mode="json"),
            environment=environment(),
            base=plan.recipe.model_name_or_path,
            base_identity=base["identity"],
            base_params=base["params"],
            vocabulary=base["vocabulary"],
            learn=tuple(contest.learn),
            keep=tuple(contest.keep),
            base_validation=validation,
            base_test=read_scores(plan.scores_of_base(plan.test)),
            overlap_items=len(plan.items.without),
            entrants=tuple(
                _entrant(plan, label, searches[label], runs[label], problems, seconds) for label in plan.entrants
            ),
        )
        write_text(output / EVIDENCE, evidence.model_dump_json(exclude_none=True) + "\n")
        return evidence


def environment() -> dict[str, str]:
    """Versions of what computed, and on what."""
    libraries = {library: version(library) for library in LIBRARIES}
    return {
        **libraries,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def problems_of(executor: Executor, jobs: Sequence[Job], watch: Watch) -> dict[str, str]:
    """Do jobs, and once more those that broke; why the rest did not finish, by name.

    Rates are chosen among runs that finished: an accident of the machine must not choose another one.
    """
    outcomes = executor.run(jobs, watch)
    broken = [job for job in jobs if not job.finished]
    if broken:
        watch.stage("once more, what broke", len(broken))
        outcomes = executor.run(broken, watch)
    return {outcome.name: outcome.failure for outcome in outcomes if outcome.failure is not None}


def need(outcomes: Sequence[Outcome]) -> None:
    """Stop where jobs have failed without which nothing can go on.

    Raises:
        HoldfastError: If one has failed; says why.
    """
    for outcome in outcomes:
        if outcome.failure is not None:
            raise HoldfastError(f"'{outcome.name}' failed: {outcome.failure}\n{outcome.details or ''}".rstrip())


def _entrant(
    plan: Plan,
    label: str,
    found: Search,
    jobs: Sequence[RunJob],
    problems: Mapping[str, str],
    seconds: Mapping[str, float],
) -> Entrant:
    settled = plan.entrants[label]
    method = settled.method
    folders = [RunFolder(job.folder) for job in jobs]
    memory = [peak for folder in folders if (peak := folder.memory()) is not None]
    step = seconds[label] / seconds["lora at the budget"]
    costs = [Record(subject=label, quantity="step_time_rel_lora", value=step, unit="x")]
    if memory:
        costs.append(Record(subject=label, quantity="peak_memory", value=median(memory), unit="bytes"))
    return Entrant(
        label=label,
        setting=method.spec(),
        standing=settled.standing,
        asked_params=settled.asked_params,
        trainable_params=settled.trainable_params,
        moves_base=method.moves_base,
        served_as=method.served_as,
        learning_rate=found.chosen,
        learning_rate_by_target=found.by_target,
        tries=tuple(
            RateTry(
                learning_rate=rate,
                target=result.mean if result else None,
                kept=result.kept if result else None,
                failure=found.failures.get(rate),
            )
            for rate, result in sorted(found.tried.items())
        ),
        unspent_tries=found.unspent,
        runs=tuple(_run(job, plan, problems) for job in jobs),
        costs=tuple(costs),
    )


def _run(job: RunJob, plan: Plan, problems: Mapping[str, str]) -> SeedRun:
    folder = RunFolder(job.folder)
    if not folder.finished:
        return SeedRun(seed=job.recipe.seed, failure=folder.failure() or problems[job.name])
    curve = ((step, folder.scores(path.name, plan.validation.split)) for step, path in folder.checkpoints().items())
    return SeedRun(
        seed=job.recipe.seed,
        curve=tuple(CurvePoint(step=step, scores=scores) for step, scores in curve if scores is not None),
        test=folder.scores(job.final_point, plan.test.split),
        facts=tuple(folder.facts()),
        rewound=None if job.way_back is None else folder.rewound(),
        no_way_back=None if job.way_back is None else folder.no_way_back(),
        isolation=folder.isolation(),
    )
