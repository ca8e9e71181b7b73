"""What a comparison will do: budgets solved, data checked, every job nameable before any of them runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdfast.arena.budget import Settled, budget_of, settle
from holdfast.arena.exams import Exam
from holdfast.arena.jobs import BaseJob, CostJob, RunJob, TrainingItems
from holdfast.arena.overlap import check_overlap, overlap_of, text_of
from holdfast.arena.way_back import WayBack
from holdfast.core.errors import RecipeError
from holdfast.core.keys import key_of
from holdfast.core.recipe import ArenaRecipe
from holdfast.core.task import Example, Task
from holdfast.models.base import skeleton
from holdfast.train.data import items_needed
from holdfast.weights.contracts import Method


@dataclass(frozen=True)
class Contest:
    """A comparison with its names turned into objects.

    Attributes:
        recipe: What the user asked for.
        methods: Methods by label, in the order of the recipe.
        catalogue: Installed methods by name, with default options.
        learn: Tasks to be learned, by name.
        keep: Tasks to be kept, by name.
        source: What stands for what the model already knows, by name.
    """

    recipe: ArenaRecipe
    methods: Mapping[str, Method]
    catalogue: Mapping[str, Method]
    learn: Mapping[str, Task]
    keep: Mapping[str, Task]
    source: Mapping[str, Task] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A contest whose open questions are settled.

    Attributes:
        contest: What is compared.
        output: Folder of the comparison.
        entrants: Methods by label, each brought to the budget.
        reference: LoRA at the budget: step times are given as shares of its own.
        items: What everyone trains on.
        validation: What chooses learning rates and draws retention curves.
        test: What is reported.
        origin: Names of the data that runs depend on beside their recipe; the base's is added when it is known.
    """

    contest: Contest
    output: Path
    entrants: Mapping[str, Settled]
    reference: Settled
    items: TrainingItems
    validation: Exam
    test: Exam
    origin: Mapping[str, str]

    @property
    def recipe(self) -> ArenaRecipe:
        """The recipe of the contest."""
        return self.contest.recipe

    def base_job(self) -> BaseJob:
        """The job that names and scores the untouched base."""
        exams = ((exam, self.scores_of_base(exam)) for exam in (self.validation, self.test))
        return BaseJob(self.recipe, tuple(exams), self.output / "base" / "base.json")

    def scores_of_base(self, exam: Exam) -> Path:
        """Where the scores of the untouched base on an exam are."""
        return self.output / "base" / f"{exam.split}-{self.origin['exams']}.json"

    def run_job(self, label: str, rate: float, seed: int, base_identity: str, *, reported: bool) -> RunJob:
        """One run of an entrant: a reported one has a curve and is tested, one of the search is only validated."""
        method = self.entrants[label].method
        recipe = self.recipe.run(method.spec(), rate, seed)
        recipe = recipe if reported else recipe.model_copy(update={"checkpoints": 1})
        origin = {"base": base_identity, **self.origin}
        name = f"{label} seed {seed}" if reported else f"{label} rate {rate:g}"
        folder = re.sub(r"[^\w.=+-]+", "-", name).strip("-") + "-" + key_of({"recipe": recipe.key(), **origin})[:8]
        return RunJob(
            name=name,
            folder=self.output / "runs" / folder,
            recipe=recipe,
            origin=origin,
            method=method,
            items=self.items,
            final=self.test if reported else self.validation,
            curve=self.validation if reported else None,
            way_back=self._way_back() if reported else None,
        )

    def _way_back(self) -> WayBack | None:
        """How reported runs are rewound, if they are."""
        rule = self.recipe.rewind_rule
        if rule is None:
            return None
        base = self.scores_of_base(self.validation)
        return WayBack(rule, self.recipe.rewind_points, tuple(self.contest.learn), self.validation, self.test, base)

    def cost_job(self, base_identity: str) -> CostJob:
        """The job that times a step of everybody."""
        methods = {"lora at the budget": self.reference.method}
        methods.update((label, settled.method) for label, settled in self.entrants.items())
        key = key_of({"base": base_identity, "methods": {label: method.spec() for label, method in methods.items()}})
        return CostJob(self.recipe, methods, self.items, self.output / "costs" / f"step-seconds-{key[:8]}.json")


def planned(contest: Contest, output: Path) -> Plan:
    """Settle what a contest leaves open.

    Args:
        contest: What is compared.
        output: Folder of the comparison.

    Raises:
        RecipeError: With every fault found: budgets that cannot be reached, a target that leaks into what is
            evaluated, items that are missing.
    """
    recipe = contest.recipe
    asked = {**contest.learn, **contest.keep}
    validation = Exam("validation", recipe.validation_items, asked)
    test = Exam("test", recipe.test_items, asked)
    everything = TrainingItems(
        tasks=contest.learn,
        limit=items_needed(recipe, len(contest.learn)),
        known=contest.source,
        known_limit=recipe.source_items,
    )
    evaluated = {
        name: [item for exam in (validation, test) for item in task.examples(exam.split, exam.limit)]
        for name, task in asked.items()
    }
    overlaps = {
        "target": overlap_of(everything.taught()[0], evaluated),
        "source": overlap_of(everything.source(), evaluated),
    }
    check_overlap(overlaps, drop=recipe.drop_overlap)
    items = replace(everything, without=overlaps["target"].ids | overlaps["source"].ids)
    entrants, reference = _settled(contest)
    return Plan(
        contest=contest,
        output=output,
        entrants=entrants,
        reference=reference,
        items=items,
        validation=validation,
        test=test,
        origin={
            "training": examples_key(items.taught()[0]),
            "exams": examples_key(item for some in evaluated.values() for item in some),
            **({"source": examples_key(items.source())} if contest.source else {}),
        },
    )


def _settled(contest: Contest) -> tuple[dict[str, Settled], Settled]:
    recipe = contest.recipe
    faults: list[str] = []
    shapes = skeleton(recipe.model_name_or_path, trust_remote_code=recipe.trust_remote_code)
    budget = budget_of(recipe.budget, contest.catalogue, shapes)
    entrants = {}
    for label, method in contest.methods.items():
        try:
            entrants[label] = settle(method, shapes, budget, recipe.budget_tolerance_frac)
        except RecipeError as error:
            faults.extend(error.faults)
    if faults:
        raise RecipeError(faults)
    return entrants, settle(contest.catalogue["lora"], shapes, budget, recipe.budget_tolerance_frac)


def examples_key(examples: Iterable[Example]) -> str:
    """A key of examples in their order."""
    return key_of({"texts": [f"{example.id} {text_of(example)} {example.choices}" for example in examples]})
