"""A comparison from its plan to its evidence: the base, the search of rates, the reported runs, the costs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from holdfast.arena.executor import Executor, Outcome, Watch
from holdfast.arena.jobs import CostJob, Job, RunJob
from holdfast.arena.plan import Contest, Plan, planned
from holdfast.arena.rates import Judged, judged
from holdfast.arena.search import Search, search_rates
from holdfast.core.errors import HoldfastError
from holdfast.core.evidence import CurvePoint, Entrant, Evidence, SeedRun
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

        def do(jobs: Sequence[RunJob]) -> dict[str, str]:
            problems.update(problems_of(executor, jobs, watch))
            return problems

        def attempt(label: str, rate: float) -> RunJob:
            return plan.run_job(label, rate, plan.recipe.search_seed, base["identity"], reported=False)

        def judge(job: RunJob) -> Judged | None:
            scores = RunFolder(job.folder).scores(job.final_point, "validation")
            return judged([scores], [tuple(contest.learn)], validation, tuple(contest.keep)) if scores else None

        centres = {label: settled.method.learning_rate for label, settled in plan.entrants.items()}
        searches = search_rates(plan.recipe, centres, attempt, judge, do, watch)
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
        seconds = timed(plan.cost_job(base["identity"]), executor, watch)
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


def timed(job: CostJob, executor: Executor, watch: Watch) -> Mapping[str, float] | str:
    """Seconds of a step by label, or why they could not be measured: what was learned is not lost for it."""
    watch.stage("costs", 1)
    (outcome,) = executor.run([job], watch)
    if outcome.failure is not None:
        return f"the time of a step could not be measured: {outcome.failure}"
    seconds: dict[str, float] = read_json(job.file)
    return seconds


def step_time(subject: str, seconds: Mapping[str, float] | str, key: str, reference: str) -> Record:
    """Time of a step as a share of that of a reference, or why there is none."""
    if isinstance(seconds, str):
        return Record(subject=subject, quantity="step_time_rel_lora", reason=seconds)
    value = seconds[key] / seconds[reference]
    return Record(subject=subject, quantity="step_time_rel_lora", value=value, unit="x")


def _entrant(
    plan: Plan,
    label: str,
    found: Search,
    jobs: Sequence[RunJob],
    problems: Mapping[str, str],
    seconds: Mapping[str, float] | str,
) -> Entrant:
    settled = plan.entrants[label]
    method = settled.method
    folders = [RunFolder(job.folder) for job in jobs]
    memory = [peak for folder in folders if (peak := folder.memory()) is not None]
    costs = [step_time(label, seconds, label, "lora at the budget")]
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
        tries=found.tries(),
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
