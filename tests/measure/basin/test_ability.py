"""Abilities score what their tasks grade, and say which scores have no basin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.measure.basin.ability import OfTask, Scored, abilities_of
from holdfast.measure.evaluate import evaluate
from holdfast.models.base import Base
from holdfast.tasks.chronicle import Chronicle
from holdfast.tasks.endings import Endings
from holdfast.tasks.recall import Recall


@dataclass(frozen=True)
class Told:
    """A task that grades every answer alike."""

    name: str = "told"
    ask: Any = "generate"
    chance_frac: float = 0.0
    max_new_tokens: int = 1
    grades: float = 1.0
    items: int = 3

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Example]:
        return [Example(f"told/{at}", f"abc {at}", "a") for at in range(self.items)][:limit]

    def grade(self, example: Example, response: str) -> float:
        return self.grades


def test_answers_are_graded_as_in_an_evaluation_item_by_item(miniature: Base) -> None:
    tasks = {task.name: task for task in (Recall(), Endings())}
    found = evaluate(miniature.model, miniature.tokenizer, tasks, split="test", limit=6).tasks
    for ability, scores in zip(abilities_of(miniature.model, miniature.tokenizer, tasks, limit=6), found, strict=True):
        assert ability.items == 6 and ability.chance == scores.chance_frac
        assert tuple(ability.ask(miniature.model, range(6))) == scores.values
        assert ability.ask(miniature.model, [4, 1]) == [scores.values[4], scores.values[1]]


def test_likelihoods_are_smooth_and_within_0_and_1(miniature: Base) -> None:
    tasks = {task.name: task for task in (Recall(), Endings(), Chronicle())}
    recall, endings, chronicle = abilities_of(miniature.model, miniature.tokenizer, tasks, limit=2)
    assert (recall.smooth, endings.smooth, chronicle.smooth) == (False, True, True)
    (texts,) = evaluate(miniature.model, miniature.tokenizer, {"chronicle": Chronicle()}, split="test", limit=2).tasks
    assert chronicle.ask(miniature.model, [0, 1]) == pytest.approx([math.exp(value) for value in texts.values])


def test_a_text_to_which_the_model_gives_no_number_is_impossible(model: PreTrainedModel, letters: Any) -> None:
    (ability,) = abilities_of(model, letters, {"told": Told(ask="read")})
    assert all(0 < score < 1 for score in ability.ask(model, [0, 1]))
    with torch.no_grad():
        model.get_parameter("lm_head.weight").fill_(float("nan"))
    assert ability.ask(model, [0, 1]) == [0.0, 0.0]


def test_other_items_have_another_key(miniature: Base) -> None:
    def key(limit: int) -> str:
        (ability,) = abilities_of(miniature.model, miniature.tokenizer, {"recall": Recall()}, limit=limit)
        return ability.key

    assert key(2) == key(2) != key(3)


@pytest.mark.parametrize("grade", [1.5, -0.1])
def test_a_grade_outside_of_0_and_1_is_told(model: PreTrainedModel, letters: Any, grade: float) -> None:
    (ability,) = abilities_of(model, letters, {"told": Told(grades=grade)})
    with pytest.raises(BadData, match=rf"task 'told' grades 'told/0' with {grade}: .* within 0 and 1"):
        ability.ask(model, [0])


def test_a_suite_without_items_is_refused(model: PreTrainedModel, letters: Any) -> None:
    with pytest.raises(BadData, match="the suite holds no task"):
        abilities_of(model, letters, {})
    with pytest.raises(BadData, match="task 'told' has no item on split 'test', and so no basin"):
        abilities_of(model, letters, {"told": Told(items=0)})


def test_any_function_is_an_ability(model: PreTrainedModel) -> None:
    found = Scored("half", 3, lambda live, items: [item / 2 for item in items], key="half")
    assert found.ask(model, [2, 1]) == [1.0, 0.5] and not found.smooth and not isinstance(found, OfTask)
