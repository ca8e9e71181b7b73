"""Sequences of trainings as they were asked for, with names turned into objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.core.sequence_recipe import Order, SequenceRecipe
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
        orders: The orders in which they are trained.
        keep: Abilities that no stage trains, by name.
        source: What stands for what the base already knows, by name.
    """

    recipe: SequenceRecipe
    methods: Mapping[str, Method]
    catalogue: Mapping[str, Method]
    tasks: Mapping[str, Task]
    orders: tuple[Order, ...]
    keep: Mapping[str, Task]
    source: Mapping[str, Task]
