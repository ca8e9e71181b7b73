"""Sequences of trainings from their plan to their evidence: the base, the search of rates, the chains, the costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from holdfast.arena.engine import EVIDENCE, environment, need, problems_of, step_time, timed
from holdfast.arena.executor import Executor, Watch
from holdfast.arena.rates import Judged, judged
from holdfast.arena.search import Search, search_rates
from holdfast.arena.sequence.chain import ChainJob
from holdfast.arena.sequence.curriculum import Curriculum
from holdfast.arena.sequence.plan import SequencePlan, planned_sequence
from holdfast.arena.sequence.rows import Row
from holdfast.arena.sequence.stage import Stage
from holdfast.core.errors import HoldfastError
from holdfast.core.record import Record
from holdfast.core.sequence_evidence import ChainRun, SequenceEntrant, SequenceEvidence
from holdfast.core.sequence_evidence import Stage as StageEvidence
from holdfast.models.base import device_of_choice, dtype_of_choice
from holdfast.store.files import sweep, write_text
from holdfast.store.run import locked, read_json, read_scores
from holdfast.weights.adapter import is_adapter


def run_sequences(curriculum: Curriculum, output: Path, executor: Executor, watch: Watch) -> SequenceEvidence:
    """Run all sequences of a recipe, or what is left of them, and write their evidence.

    Whatever is finished in the output folder is kept and not repeated; a sequence that was killed goes on at the stage,
    and within it at the step, where it was. A chain whose training diverges ends there, and does not stop the others.

    Args:
        curriculum: What is learned, and how.
        output: Folder of it all.
        executor: Where the chains run.
        watch: For progress.

    Returns:
        The evidence, also written to ``evidence.json``.

    Raises:
        RecipeError: If the recipe cannot be followed; before anything is trained.
        HoldfastError: If the base cannot be scored, the folder holds a comparison, or another process is writing there.
    """
    with locked(output):
        sweep(output)
        if (output / "runs").is_dir():
            raise HoldfastError(f"{output} holds a comparison of methods; give another --output_dir for sequences")
        plan = planned_sequence(curriculum, output)
        for label, row in plan.rows.items():
            watch.say(f"{label}: {row.method.spec()} trains {row.params:,} parameters")
        if plan.without:
            watch.say(f"{len(plan.without)} training examples are also evaluated and are left out")
        watch.stage("the untouched base", 1)
        base_job = plan.base_job()
        need(executor.run([base_job], watch))
        base = read_json(base_job.file)
        validation = read_scores(plan.scores_of_base(plan.validation))
        problems: dict[str, str] = {}

        def do(jobs: Sequence[ChainJob]) -> dict[str, str]:
            problems.update(problems_of(executor, jobs, watch))
            return problems

        def attempt(label: str, rate: float) -> ChainJob:
            row = plan.rows[label]
            stages, seed = plan.lessons_of(row)[0], plan.recipe.search_seed
            return plan.chain_job(row, stages, rate, seed, base["identity"], reported=False)

        def judge(job: ChainJob) -> Judged | None:
            scores = [found for stage in job.stages if (found := stage.run.scores(stage.point, "validation"))]
            if len(scores) < len(job.stages):
                return None
            learned = [tuple(stage.lesson.tasks) for stage in job.stages]
            return judged(scores, learned, validation, tuple(curriculum.keep))

        centres = {label: row.method.learning_rate for label, row in plan.rows.items()}
        searches = search_rates(plan.recipe, centres, attempt, judge, do, watch)
        chains = {label: _chains(plan, row, searches[label], base["identity"]) for label, row in plan.rows.items()}
        reported = [job for jobs in chains.values() for job in jobs]
        watch.stage("sequences", len(reported))
        do(reported)
        seconds = timed(plan.cost_job(base["identity"]), executor, watch)
        evidence = SequenceEvidence(
            recipe=plan.recipe.model_dump(mode="json"),
            environment=environment(),
            base=plan.recipe.model_name_or_path,
            base_identity=base["identity"],
            base_params=base["params"],
            vocabulary=base["vocabulary"],
            tasks=tuple(curriculum.tasks),
            keep=tuple(curriculum.keep),
            orders=curriculum.orders,
            base_test=read_scores(plan.scores_of_base(plan.test)),
            overlap_items=len(plan.without),
            entrants=tuple(
                _entrant(plan, row, searches[label], chains[label], problems, seconds, base["params"])
                for label, row in plan.rows.items()
            ),
        )
        write_text(output / EVIDENCE, evidence.model_dump_json(exclude_none=True) + "\n")
        return evidence


def _chains(plan: SequencePlan, row: Row, found: Search, base_identity: str) -> list[ChainJob]:
    if found.chosen is None:
        return []
    return [
        plan.chain_job(row, stages, found.chosen, seed, base_identity, reported=True)
        for stages in plan.lessons_of(row)
        for seed in plan.recipe.seeds
    ]


def _entrant(
    plan: SequencePlan,
    row: Row,
    found: Search,
    jobs: Sequence[ChainJob],
    problems: Mapping[str, str],
    seconds: Mapping[str, float] | str,
    base_params: int,
) -> SequenceEntrant:
    runs = tuple(run_of(job, problems) for job in jobs)
    facts = [fact for run in runs[:1] for stage in run.stages[:1] for fact in stage.facts]
    trained = next((fact.value for fact in facts if fact.quantity == "trainable_params"), None)
    return SequenceEntrant(
        label=row.label,
        setting=row.method.spec(),
        regime=row.regime,
        trainable_params=row.params if trained is None else int(trained),
        learning_rate=found.chosen,
        tries=found.tries(),
        unspent_tries=found.unspent,
        runs=runs,
        costs=tuple(_costs(plan, row, jobs, seconds, base_params)),
    )


def run_of(job: ChainJob, problems: Mapping[str, str]) -> ChainRun:
    """What a chain has measured, as far as it went; ``problems`` say why chains did not finish, by name."""
    stages = []
    for stage in job.stages:
        if not stage.finished:
            break
        stages.append(_evidence_of(stage))
    tasks = tuple(task for stage in job.stages for task in stage.lesson.tasks)
    failure = None if len(stages) == len(job.stages) else job.failure or problems[job.name]
    return ChainRun(order=tasks, seed=job.stages[0].recipe.seed, stages=tuple(stages), failure=failure)


def _evidence_of(stage: Stage) -> StageEvidence:
    run = stage.run
    scores = run.scores(stage.point, "test")
    assert scores is not None, "a finished stage of a reported chain is tested"
    facts = [*run.facts(), Record(subject="run", quantity="tokens_seen", value=run.training()["tokens_seen"])]
    if stage.way_back is not None:
        reason, back = run.no_way_back(), run.rewound()
        for quantity, value in (("stepped_back_to", back and back.t), ("step_frac", back and back.step_frac)):
            facts.append(Record(subject="run", quantity=quantity, value=value, reason=reason))
    return StageEvidence(
        task=stage.lesson.name, test=scores, facts=tuple(facts), plan=run.plan(), isolation=run.isolation()
    )


def _costs(
    plan: SequencePlan, row: Row, jobs: Sequence[ChainJob], seconds: Mapping[str, float] | str, base_params: int
) -> Iterator[Record]:
    label = row.label
    yield step_time(label, seconds, row.method.spec(), plan.reference.method.spec())
    peaks = [[peak for stage in job.stages if (peak := stage.run.memory()) is not None] for job in jobs]
    if memory := [max(peak) for peak in peaks if peak]:
        yield Record(subject=label, quantity="peak_memory", value=median(memory), unit="bytes")
    first = [job for job in jobs if job.stages[0].recipe.seed == plan.recipe.seeds[0]]
    served = [job.model for job in (first if row.regime == "alone" else first[:1])]
    if served and all(folder.is_dir() for folder in served):
        adapters = any(is_adapter(folder) for folder in served)
        base = base_params * dtype_of_choice(plan.recipe.dtype, device_of_choice()).itemsize if adapters else 0
        yield Record(subject=label, quantity="stored_bytes", value=base + sum(map(_bytes, served)), unit="bytes")
    if first and row.regime == "sequence":
        kept = [stage.run.keepsake for stage in first[0].stages if stage.run.keepsake.is_file()]
        carried = sum(file.stat().st_size for file in kept)
        yield Record(subject=label, quantity="keepsake_bytes", value=carried, unit="bytes")


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
