"""What the evidence of a comparison says: gain, forgetting, frontier and costs of every entrant, with intervals."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from holdfast.core.evidence import Standing
from holdfast.core.isolation import IsolationCourse

Span = tuple[float, float]
"""Lower and upper end of an interval."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskResult(_Document):
    """What happened to one task.

    Attributes:
        task: Its name.
        role: Whether it was to be learned or kept.
        unit: Unit of score and change.
        score: Mean score on test items, over seeds.
        change: Score minus the base's; below 0 is a loss.
        change_interval: Interval of the change.
        retention_frac: Share of the base's skill above chance that is left; absent where the base has none.
        chance_frac: What guessing scores.
        truncated_frac: Share of answers that ran into the token limit.
        kl_nats_per_token: KL(base || entrant) on the text, where the task is one.
        kl_interval: Interval of the divergence.
    """

    task: str
    role: Literal["learn", "keep"]
    unit: str
    score: float
    change: float
    change_interval: Span
    retention_frac: float | None = None
    chance_frac: float = 0.0
    truncated_frac: float = 0.0
    kl_nats_per_token: float | None = None
    kl_interval: Span | None = None


class StepResult(_Document):
    """Where an entrant was at a step, on validation items, in the mean over seeds.

    Attributes:
        step: Optimizer steps so far.
        target: Mean score on the target.
        kept: Mean score on what is to be kept.
    """

    step: int
    target: float
    kept: float


class Versus(_Document):
    """An entrant minus LoRA, on the same items.

    Attributes:
        gain: Difference in gain.
        gain_interval: Its interval.
        gain_p: Two-sided p-value, adjusted for all entrants by Holm.
        forgetting: Difference in forgetting.
        forgetting_interval: Its interval.
        forgetting_p: Two-sided p-value, adjusted for all entrants by Holm.
    """

    gain: float
    gain_interval: Span
    gain_p: float
    forgetting: float
    forgetting_interval: Span
    forgetting_p: float


class RewoundResult(_Document):
    """An entrant at the best points of its runs, which validation items chose.

    Attributes:
        path: Label of the path that was walked back.
        rule: The rule of choice.
        t: The chosen point of every run: 0 is the base, 1 where it ended.
        step_frac: Mean distance from the base as a share of the whole way.
        left: How many runs stay where they ended.
        evaluations: How many points were scored to choose, over all runs.
        gain: As of the entrant, at the best points.
        gain_interval: Its interval.
        forgetting: As of the entrant, at the best points.
        forgetting_interval: Its interval.
        undone: Forgetting where the runs ended minus forgetting at the best points.
        undone_interval: Its interval.
        gain_kept_frac: Gain as a share of that where the runs ended; absent where there was none.
        gain_kept_interval: Its interval; absent where the gain may as well have been 0.
        target_score: Mean score on what was to be learned.
        kept_score: Mean score on what was to be kept.
        on_frontier: Whether no other ranked entrant at its best points, nor the base, is better in both.
    """

    path: str
    rule: str
    t: tuple[float, ...]
    step_frac: float
    left: int
    evaluations: int
    gain: float
    gain_interval: Span
    forgetting: float
    forgetting_interval: Span
    undone: float
    undone_interval: Span
    gain_kept_frac: float | None = None
    gain_kept_interval: Span | None = None
    target_score: float
    kept_score: float
    on_frontier: bool


class PointResult(_Document):
    """One entrant, or the base.

    Attributes:
        name: Its label.
        setting: The method with all options.
        standing: How it stands to the budget; absent for the base.
        ranked: Whether it is compared with the others at the budget.
        trainable_params: What it trains.
        budget_gap_frac: Distance from the budget as a share of it; negative is below.
        learning_rate: Rate that was used.
        tries: Rates that were tried.
        unspent_tries: Further tries it was allowed and did not need.
        seeds: Reported runs.
        gain: Mean change on what was to be learned; absent if a run failed.
        gain_interval: Paired interval over items, and over seeds where there are several.
        gain_seed_interval: t-interval over the means of the seeds; absent with one seed.
        forgetting: Mean loss on what was to be kept; above 0 is worse.
        forgetting_interval: As for gain.
        forgetting_seed_interval: As for gain.
        target_score: Mean score on what was to be learned.
        kept_score: Mean score on what was to be kept.
        on_frontier: Whether no ranked entrant, nor the base, is better in both.
        non_dominated_overall: The same against all entrants, ranked or not.
        non_dominated_frac: Share of resamples in which nobody ranked is better in both; for an entrant that is not
            ranked, nobody at all.
        dominated_by_base_frac: Share of resamples in which the untouched base is better in both.
        added_area: Area that it adds to the base's, in the product of the two units.
        added_area_interval: Interval of that area.
        tasks: Task by task.
        curve: Checkpoint by checkpoint on validation items; for the base the single step 0.
        versus_lora: Compared with LoRA, where LoRA takes part.
        trainable_bytes: Memory of what is trained.
        stored_bytes: Size of what is saved.
        step_time_rel_lora: Time of a training step as a share of LoRA's, measured side by side.
        peak_memory_bytes: Memory that training took.
        mergeable: Whether it can be merged into the base's weights.
        served_as: ``lora``, ``merged`` or ``live``.
        moves_base: Whether a disabled adapter is not the base.
        start_distance: Largest difference of logits between the fresh attachment and the base.
        update_norm_rel: Size of the update as a share of the weights it moves.
        orthogonality_defect: Distance of its rotations from rotations, where it has any.
        reload_difference: Largest difference of logits after saving and loading.
        failure: Why there is no result, if there is none.
        rewound: The same at the best points of its runs, where they were looked for.
        isolation: Seed -> how the choice of held scalars went, for runs that held some.
    """

    name: str
    setting: str = ""
    standing: Standing | None = None
    ranked: bool = True
    trainable_params: int = 0
    budget_gap_frac: float | None = None
    learning_rate: float | None = None
    tries: int = 0
    unspent_tries: int = 0
    seeds: int = 0
    gain: float | None = None
    gain_interval: Span | None = None
    gain_seed_interval: Span | None = None
    forgetting: float | None = None
    forgetting_interval: Span | None = None
    forgetting_seed_interval: Span | None = None
    target_score: float | None = None
    kept_score: float | None = None
    on_frontier: bool = False
    non_dominated_overall: bool = False
    non_dominated_frac: float | None = None
    dominated_by_base_frac: float | None = None
    added_area: float | None = None
    added_area_interval: Span | None = None
    tasks: tuple[TaskResult, ...] = ()
    curve: tuple[StepResult, ...] = ()
    versus_lora: Versus | None = None
    trainable_bytes: float | None = None
    stored_bytes: float | None = None
    step_time_rel_lora: float | None = None
    peak_memory_bytes: float | None = None
    mergeable: bool | None = None
    served_as: str | None = None
    moves_base: bool | None = None
    start_distance: float | None = None
    update_norm_rel: float | None = None
    orthogonality_defect: float | None = None
    reload_difference: float | None = None
    failure: str | None = None
    rewound: RewoundResult | None = None
    isolation: dict[int, IsolationCourse] = {}


class Comparison(_Document):
    """A whole comparison, as reports and scripts read it.

    Attributes:
        base: Name of the base model.
        base_params: How many parameters it has.
        budget_params: Trainable parameters that were asked for.
        learn: Tasks to be learned.
        keep: Tasks to be kept.
        headline: The kept tasks whose mean is the forgetting: the graded ones, where there are any.
        gain_unit: Unit of gain.
        forgetting_unit: Unit of forgetting.
        level: Level of all intervals.
        resamples: Bootstrap resamples behind them.
        points: The base first, then the entrants in the order of the recipe.
        notes: What a reader must know to read the numbers right.
        failures: Entrants without a result, with the reason.
        recipe: The recipe, every option written out.
        environment: Versions and machine.
    """

    base: str
    base_params: int
    budget_params: int
    learn: tuple[str, ...]
    keep: tuple[str, ...]
    headline: tuple[str, ...]
    gain_unit: str
    forgetting_unit: str
    level: float
    resamples: int
    points: tuple[PointResult, ...]
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    recipe: dict[str, object]
    environment: dict[str, str]

    def point(self, name: str) -> PointResult:
        """The point of that name."""
        return next(point for point in self.points if point.name == name)
