"""Bringing every method to the same number of trainable parameters, as near as its knob allows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError
from holdfast.core.evidence import Standing
from holdfast.weights.contracts import Method, Patterned

EXACT_FRAC = 0.003
"""Gap up to which a count is called exact."""

ASIDE = 8
"""Settings on both sides that are looked at where the search has not come within the tolerance."""

BUDGET_OF_METHOD = re.compile(r"(?P<method>[a-z0-9_]+)-(?P<knob>[a-z]+)(?P<value>\d+)")


@dataclass(frozen=True)
class Settled:
    """A method with its knob set.

    Attributes:
        method: The method, ready to be attached.
        asked_params: The budget.
        trainable_params: What it trains, counted on a wrapped model.
        standing: How it stands to the budget.
    """

    method: Method
    asked_params: int
    trainable_params: int
    standing: Standing


def settle(method: Method, model: PreTrainedModel, budget: int, tolerance_frac: float) -> Settled:
    """Set a method's knob so that it trains as nearly the budget as it can.

    First the knob itself, the same for all layers; if that misses the tolerance and the method can have another rank
    in some kinds of layers, then those, since which layers move is part of the method and all of them should.

    Args:
        method: The method as the user gave it; its knob is overwritten.
        model: The model, or its skeleton: only shapes are looked at.
        budget: Trainable parameters asked for.
        tolerance_frac: Gap up to which it counts as within the budget.

    Raises:
        RecipeError: If the method has a knob and even its smallest setting trains more than the budget allows.
    """
    settings = list(method.settings(model))
    counted = lru_cache(maxsize=None)(lambda index: settings[index].parameters(model))

    def nearest(candidates: Iterable[int]) -> int:
        possible = [index for index in candidates if 0 <= index < len(settings)]
        return min(possible, key=lambda index: abs(counted(index) - budget))

    low, high = 0, len(settings)
    while low < high:  # the first setting that trains more than the budget
        middle = (low + high) // 2
        low, high = (low, middle) if counted(middle) > budget else (middle + 1, high)
    best = nearest((low - 1, low))
    if abs(counted(best) - budget) > tolerance_frac * budget:
        # Some counts rise in waves, so that the nearest may lie a little aside.
        best = nearest(range(low - ASIDE, low + ASIDE + 1))
    smallest = counted(0)
    if len(settings) > 1 and low == 0 and smallest > budget * (1 + tolerance_frac):
        raise RecipeError(
            [
                f"{method.name}: its smallest setting trains {smallest:,} parameters and the budget is {budget:,}; "
                f"give budget: {smallest} or more, or leave the method out"
            ]
        )
    chosen, got = settings[best], counted(best)
    below = settings[max(low - 1, 0)]
    if abs(got - budget) > tolerance_frac * budget and isinstance(below, Patterned):
        chosen, got = _patterned(below, model, budget, (chosen, got))
    return Settled(chosen, budget, got, _standing(got, budget, tolerance_frac, len(settings), best))


def budget_of(asked: str | int, methods: Mapping[str, Method], model: PreTrainedModel) -> int:
    """The budget in parameters: the number itself, or what a method such as ``lora-r8`` or ``full`` trains here.

    Args:
        asked: The budget of a recipe.
        methods: Installed methods by name, with default options.
        model: The model, or its skeleton.

    Raises:
        RecipeError: If the text is neither a number nor such a method.
    """
    text = str(asked).replace("_", "")
    if text.isdigit() and int(text) > 0:
        return int(text)
    whole = methods.get(str(asked))
    if whole is not None and whole.knob is None:
        return whole.parameters(model)
    match = BUDGET_OF_METHOD.fullmatch(str(asked))
    method = methods.get(match["method"]) if match else None
    if match is None or method is None or not (method.knob or "").startswith(match["knob"]):
        raise RecipeError([f"budget: '{asked}' is neither a number of parameters nor a method such as lora-r8 or full"])
    return method.with_knob(int(match["value"])).parameters(model)


def _standing(got: int, budget: int, tolerance_frac: float, settings: int, chosen: int) -> Standing:
    gap = abs(got - budget) / budget
    if gap <= EXACT_FRAC:
        return "exact"
    if gap <= tolerance_frac:
        return "within"
    if got < budget and chosen == settings - 1:
        return "capped"
    return "unbudgeted" if settings == 1 else "coarse"


def _patterned(
    below: Patterned, model: PreTrainedModel, budget: int, uniform: tuple[Method, int]
) -> tuple[Method, int]:
    """The best of the uniform setting and of all settings with one rank more in some kinds of layers."""
    kinds: Sequence[str] = below.kinds(model)
    start = below.parameters(model)
    gains = {kind: below.with_one_more(frozenset({kind})).parameters(model) - start for kind in kinds}
    best, best_gap = uniform[0], abs(uniform[1] - budget)
    for chosen in sorted(_subsets(kinds), key=len):
        gap = abs(start + sum(gains[kind] for kind in chosen) - budget)
        if gap < best_gap:
            best, best_gap = below.with_one_more(chosen), gap
    return best, best.parameters(model)


def _subsets(kinds: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(kind for i, kind in enumerate(kinds) if bits >> i & 1) for bits in range(1, 2 ** len(kinds))]
