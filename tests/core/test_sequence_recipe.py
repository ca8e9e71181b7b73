"""Recipes of sequences: what they refuse, and the orders that they give."""

from __future__ import annotations

import math
from typing import Any

import pytest

from holdfast.core.errors import RecipeError
from holdfast.core.recipe import TrainRecipe, read_recipe
from holdfast.core.sequence_recipe import SequenceRecipe, orders_of

TASKS = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "cant"}, "target: a sequence learns its tasks one after the other; put 'cant' among them"),
        ({"tasks": ["cant", "query", "cant"]}, "tasks: 'cant' is listed twice"),
        ({"methods": []}, "methods: name at least one"),
        ({"alone": ["lora", "lora"]}, "alone: one is named twice"),
        ({"retention": []}, "retention: name at least one suite, task or file, or nothing can be forgotten"),
        ({"seeds": [0, 1]}, "search_seed: 0 is also a reported seed"),
        ({"seeds": [1, 1]}, "seeds: give at least one, each once"),
        ({"orders": 0}, "orders: give at least 1"),
        ({"orders": []}, "orders: give at least 1"),
        ({"task": ["cant"]}, "unknown option 'task': did you mean 'tasks'?"),
    ],
)
def test_what_is_wrong_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(SequenceRecipe, None, options)
    assert message in str(caught.value)


def test_a_recipe_says_nothing_of_a_target_and_its_key_does_not_depend_on_one() -> None:
    assert "target" not in SequenceRecipe().model_dump()
    assert SequenceRecipe().key() == SequenceRecipe(target="").key() != SequenceRecipe(max_steps=7).key()


def test_a_stage_is_an_ordinary_run_with_its_task_for_a_target() -> None:
    recipe = SequenceRecipe(max_steps=7, dtype="float32")
    stage = recipe.run("cant", "lora(r=4)", 0.01, 3)
    assert stage == TrainRecipe(
        target="cant", method="lora(r=4)", learning_rate=0.01, seed=3, max_steps=7, dtype="float32", checkpoints=1
    )
    assert recipe.run("cant+query", "lora", 0.01, 3, steps=14).max_steps == 14


def test_the_first_order_is_the_recipe_s_own_and_all_are_different() -> None:
    orders = orders_of(TASKS, 5, seed=0)
    assert orders[0] == TASKS
    assert len(set(orders)) == 5
    assert all(sorted(order) == sorted(TASKS) for order in orders)


def test_orders_are_drawn_by_their_seed_alone_and_more_of_them_begin_alike() -> None:
    assert orders_of(TASKS, 4, seed=1) == orders_of(TASKS, 4, seed=1) != orders_of(TASKS, 4, seed=2)
    assert orders_of(TASKS, 6, seed=1)[:4] == orders_of(TASKS, 4, seed=1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_there_are_never_more_orders_than_there_are(count: int) -> None:
    tasks = TASKS[:count]
    assert len(orders_of(tasks, 100, seed=0)) == math.factorial(count)


def test_given_orders_are_taken_as_they_are() -> None:
    given = (("b", "a"), ("a", "b"))
    assert orders_of(("a", "b"), given, seed=0) == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((("a", "b"), ("b",)), "orders: 'b' lacks 'a'"),
        ((("a", "b", "a"),), "orders: 'a, b, a' repeats 'a'"),
        ((("a", "b", "x"),), "orders: 'a, b, x' holds 'x', which is no task here"),
        ((("a", "b"), ("a", "b")), "orders: 'a, b' is given twice"),
    ],
)
def test_an_order_that_is_none_is_refused(given: tuple[tuple[str, ...], ...], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        orders_of(("a", "b"), given, seed=0)
    assert message in caught.value.faults
