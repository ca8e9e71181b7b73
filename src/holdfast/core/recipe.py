"""Recipes: complete, frozen, hashable descriptions of a run or a comparison, written as flat YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from holdfast.core.errors import RecipeError, unknown
from holdfast.core.keys import key_of

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

LATER = frozenset({"source", "source_items"})
"""Options that have come since recipes were first kept: written only where they are used, so that older keys hold."""


class Recipe(BaseModel):
    """What all recipes share: they are frozen, know all their options by name, and have a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def key(self) -> str:
        """Equal recipes have equal keys."""
        return key_of(self.model_dump(mode="json"))


class TrainingOptions(Recipe):
    """How a model is trained, whatever the method; names are those of TRL and transformers.

    Attributes:
        model_name_or_path: Base model: a folder, a hub id, or ``miniature``.
        dtype: Precision of the base; ``auto`` is bfloat16 on CUDA devices, float32 elsewhere.
        trust_remote_code: Run code that comes with the model.
        allow_pickle: Open weights stored as pickles, which can run code.
        target: What is to be learned: the name of a task, or a data file; several joined by ``+``, or those a suite
            holds to be learned, are learned at once, as many examples of each.
        train_items: Most training examples used; all where not given.
        source: Tasks, suites or data files that stand for what the model already knows; methods that look back, such
            as ewc or replay, draw on their training examples.
        source_items: Most of those examples, of all of them together.
        max_steps: Optimizer steps.
        per_device_train_batch_size: Examples in a batch.
        gradient_accumulation_steps: Batches an optimizer step.
        warmup_steps: Steps in which the rate rises; below 1, a share of all steps.
        lr_scheduler_type: How the rate falls afterwards.
        weight_decay: Of AdamW.
        adam_beta1: Of AdamW.
        adam_beta2: Of AdamW.
        max_grad_norm: Gradients are clipped to this norm.
        max_length: Longest training example in tokens; longer ones are cut, and how many is recorded.
        packing: Several examples a row, as TRL packs them.
        train_sampling_strategy: ``random``, ``sequential``, or ``group_by_length`` for batches with little padding.
        activation_checkpointing: Trade time for memory in training.
        checkpoints: How many checkpoints are kept, at log-spaced steps, the last step among them.
        max_eval_rows: Most rows in a batch of an evaluation.
        max_eval_tokens: Most tokens in a batch of an evaluation.
        report_to: Tracker, as the Trainer names it; ``none`` for none.
    """

    model_name_or_path: str = "miniature"
    dtype: Dtype = "auto"
    trust_remote_code: bool = False
    allow_pickle: bool = False
    target: str = "working"
    train_items: int | None = Field(default=None, ge=1)
    source: tuple[str, ...] = ()
    source_items: int = Field(default=512, ge=1)
    max_steps: int = Field(default=200, ge=1)
    per_device_train_batch_size: int = Field(default=16, ge=1)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    warmup_steps: float = Field(default=0.1, ge=0)
    lr_scheduler_type: str = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int = Field(default=512, ge=2)
    packing: bool = False
    train_sampling_strategy: Literal["random", "sequential", "group_by_length"] = "random"
    activation_checkpointing: bool = False
    checkpoints: int = Field(default=5, ge=1)
    max_eval_rows: int = Field(default=64, ge=1)
    max_eval_tokens: int = Field(default=16_384, ge=1)
    report_to: str = "none"

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        defaults = {name: field.default for name, field in TrainingOptions.model_fields.items()}
        return {k: v for k, v in written.items() if k not in LATER or getattr(self, k) != defaults[k]}


class TrainRecipe(TrainingOptions):
    """One training run.

    Attributes:
        method: A method with its options, such as ``oft(block_size=16)``.
        learning_rate: Peak rate.
        seed: Sets initialisation, data order and dropout.
    """

    method: str = "lora"
    learning_rate: float = Field(default=2e-4, gt=0)
    seed: int = 1


class ComparisonOptions(TrainingOptions):
    """What all comparisons share: equal tries for everybody, seeds, items, and what is not to be lost.

    Attributes:
        budget_tolerance_frac: Gap up to which a method counts as within the budget.
        retention: What is to be kept and is never trained: names of suites or tasks, or data files.
        seeds: Seeds of the runs that are reported.
        search_seed: Seed of the runs that choose the learning rate; not among the reported ones.
        learning_rate_tries: Rates tried for each method.
        learning_rate_extra_tries: Most further rates tried where the best lies at an end of those tried.
        learning_rate_spacing: Ratio between neighbouring rates.
        learning_rate_scale: Factor on every method's centre rate; small models want larger rates than large ones.
        learning_rate_rule: How the rate is chosen on validation items: ``one_standard_error`` takes, of all rates whose
            target score is within one standard error of the best, the one that forgets least; ``target`` takes the
            best target score.
        validation_items: Most items of a task in a validation.
        test_items: Most items of a task in a test.
        rewind_points: Most points of a path that are scored to find the one to rewind to, start and end included.
        drop_overlap: Leave training examples out that are also evaluated, instead of refusing them.
        resamples: Bootstrap resamples behind every interval.
    """

    budget_tolerance_frac: float = Field(default=0.02, ge=0)
    retention: tuple[str, ...] = ("general",)
    seeds: tuple[int, ...] = (1, 2, 3)
    search_seed: int = 0
    learning_rate_tries: int = Field(default=5, ge=1)
    learning_rate_extra_tries: int = Field(default=2, ge=0)
    learning_rate_spacing: float = Field(default=3.0, gt=1)
    learning_rate_scale: float = Field(default=1.0, gt=0)
    learning_rate_rule: Literal["one_standard_error", "target"] = "one_standard_error"
    validation_items: int = Field(default=200, ge=2)
    test_items: int = Field(default=500, ge=2)
    rewind_points: int = Field(default=7, ge=2)
    drop_overlap: bool = False
    resamples: int = Field(default=10_000, ge=100)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if faults := self._between():
            raise ValueError("\n".join(faults))
        return self

    def _between(self) -> list[str]:
        """What is wrong between options that are right by themselves, in sentences."""
        faults = []
        if not self.retention:
            faults.append("retention: name at least one suite, task or file, or nothing can be forgotten")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            faults.append("seeds: give at least one, each once")
        if self.search_seed in self.seeds:
            faults.append(f"search_seed: {self.search_seed} is also a reported seed; the choice of a rate must not be")
        return faults


class ArenaRecipe(ComparisonOptions):
    """A comparison of methods at an equal budget.

    Attributes:
        methods: Methods with their options, such as ``lora`` or ``oft(block_size=16)``.
        budget: Trainable parameters each method is brought to: a number, or a method such as
            ``lora-r8`` or ``full``.
        rewind_rule: How each run is rewound to its best point, on validation items: a rule such as ``keep_gain(0.95)``;
            null leaves every run where it ended.
    """

    methods: tuple[str, ...] = ("full", "lora", "dora", "pissa", "oft", "hra", "miss", "ia3", "layernorm")
    budget: str | int = "lora-r8"
    rewind_rule: str | None = "one_standard_error"

    def _between(self) -> list[str]:
        faults = []
        if not self.methods:
            faults.append("methods: name at least one")
        if len(set(self.methods)) != len(self.methods):
            faults.append("methods: one is named twice")
        return [*faults, *super()._between()]

    def run(self, method: str, learning_rate: float, seed: int) -> TrainRecipe:
        """The recipe of one run of this comparison."""
        shared = {name: getattr(self, name) for name in TrainingOptions.model_fields}
        return TrainRecipe(**shared, method=method, learning_rate=learning_rate, seed=seed)


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def read_recipe(kind: type[AnyRecipe], path: Path | None, overrides: Mapping[str, Any]) -> AnyRecipe:
    """A recipe from a YAML file, with overrides on top; a file is not needed where overrides and defaults do.

    Raises:
        RecipeError: With every fault found: unreadable file, unknown options with the nearest valid name, wrong values.
    """
    source = str(path) if path else "recipe"
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
    except FileNotFoundError as error:
        raise RecipeError([f"there is no file {path}"], source) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError([f"cannot be read: {error}"], source) from error
    except yaml.YAMLError as error:
        raise RecipeError([f"not YAML: {error}"], source) from error
    if written is None:
        written = {}
    if not isinstance(written, dict):
        raise RecipeError([f"expected options with values, one a line, and found a {type(written).__name__}"], source)
    options = {**written, **overrides}
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        raise RecipeError(_all_faults(kind, options, error), source) from error


def _all_faults(kind: type[Recipe], options: Mapping[str, Any], error: ValidationError) -> list[str]:
    """What is wrong with single options, then what is wrong between those options that are right."""
    faulty = {item["loc"][0] for item in error.errors() if item["loc"]}
    try:
        kind.model_validate({name: value for name, value in options.items() if name not in faulty})
    except ValidationError as further:
        return [*_faults(kind, error), *(_faults(kind, further) if faulty else ())]
    return _faults(kind, error)


def _faults(kind: type[Recipe], error: ValidationError) -> list[str]:
    faults = []
    for item in error.errors():
        where = ".".join(map(str, item["loc"]))
        if item["type"] == "extra_forbidden":
            faults.append(unknown("option", where, tuple(kind.model_fields)))
        elif item["type"] == "value_error" and not where:
            faults.extend(str(item["ctx"]["error"]).splitlines())
        else:
            faults.append(f"{where}: {item['msg'][0].lower()}{item['msg'][1:]}, got {item['input']!r}")
    return faults
