"""Budgets that are solved once: a method, a model and a budget have one answer, and finding it takes half a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from transformers import PreTrainedModel

from holdfast.arena import plan
from holdfast.arena.budget import Settled, settle
from holdfast.arena.sequence import rows
from holdfast.weights.contracts import Method


@pytest.fixture(scope="session", autouse=True)
def solved_once() -> Iterator[None]:
    """Plans that a session makes again and again take the first answer."""
    answers: dict[str, Settled] = {}

    def once(method: Method, model: PreTrainedModel, budget: int, tolerance_frac: float) -> Settled:
        key = f"{type(method)} {method.spec()} {model.config.to_json_string()} {budget} {tolerance_frac}"
        if key not in answers:
            answers[key] = settle(method, model, budget, tolerance_frac)
        return answers[key]

    with pytest.MonkeyPatch.context() as patch:
        for room in (plan, rows):
            patch.setattr(room, "settle", once)
        yield
