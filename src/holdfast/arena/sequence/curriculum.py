"""Sequences of trainings as they were asked for, with names turned into objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from holdfast.core.errors import RecipeError
from holdfast.core.sequence_recipe import Order, SequenceRecipe, orders_of
from holdfast.core.task import Task
from holdfast.weights.contracts import Method


@dataclass(frozen=True)
class Curriculum:
    """Sequences of trainings with their names turned into objects.

    Attributes:
        recipe: What the user asked for.
        methods: Methods by their text, of all regimes.
        catalogue: Installed methods by name, with default options.
        tasks: What is learned, by name, in the recipe's order.
        keep: Abilities that no stage trains, by name.
        source: What stands for what the base already knows, by name.
    """

    recipe: SequenceRecipe
    methods: Mapping[str, Method]
    catalogue: Mapping[str, Method]
    tasks: Mapping[str, Task]
    keep: Mapping[str, Task]
    source: Mapping[str, Task] = field(default_factory=dict)

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """The orders in which the tasks are trained.

        Raises:
            RecipeError: If an order lacks a task or repeats one.
        """
        try:
            return orders_of(tuple(self.tasks), self.recipe.orders, self.recipe.order_seed)
        except ValueError as error:
            raise RecipeError(str(error).splitlines()) from error
