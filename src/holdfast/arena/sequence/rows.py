"""The rows of the table: every method in every regime, brought to the budget if there is one."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.arena.budget import budget_of, settle
from holdfast.arena.sequence.curriculum import Curriculum
from holdfast.core.errors import RecipeError
from holdfast.core.sequence_evidence import Regime
from holdfast.models.base import skeleton
from holdfast.weights.contracts import Method


@dataclass(frozen=True)
class Row:
    """One row of the table: a method, and how it meets the tasks.

    Attributes:
        label: Name of the row.
        regime: How it meets them.
        method: The method, its knob set.
        params: What it trains in a stage, as far as that is known before.
    """

    label: str
    regime: Regime
    method: Method
    params: int


def rows_of(curriculum: Curriculum) -> tuple[dict[str, Row], Row]:
    """The rows by label, and LoRA at the budget or as it is, to which step times are compared.

    Raises:
        RecipeError: With every fault found, if methods cannot be brought to the budget.
    """
    recipe = curriculum.recipe
    shapes = skeleton(recipe.model_name_or_path, trust_remote_code=recipe.trust_remote_code)
    budget = None if recipe.budget is None else budget_of(recipe.budget, curriculum.catalogue, shapes)

    def row(label: str, regime: Regime, method: Method) -> Row:
        at_budget = method if budget is None else settle(method, shapes, budget, recipe.budget_tolerance_frac).method
        return Row(label, regime, at_budget, at_budget.parameters(shapes))

    faults: list[str] = []
    rows: dict[str, Row] = {}
    named: dict[Regime, tuple[str, ...]] = {
        "sequence": recipe.methods,
        "alone": recipe.alone,
        "jointly": recipe.jointly,
    }
    for regime, texts in named.items():
        for text in texts:
            label = text if regime == "sequence" else f"{text} {regime}"
            try:
                rows[label] = row(label, regime, curriculum.methods[text])
            except RecipeError as error:
                faults.extend(error.faults)
    if faults:
        raise RecipeError(list(dict.fromkeys(faults)))
    return rows, row("lora as reference", "sequence", curriculum.catalogue["lora"])
