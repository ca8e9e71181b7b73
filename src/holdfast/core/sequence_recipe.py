"""The recipe of sequences of trainings: which tasks, in which orders, by which methods."""

from __future__ import annotations

import math
import random

from pydantic import Field

from holdfast.core.errors import RecipeError
from holdfast.core.recipe import ComparisonOptions, TrainingOptions, TrainRecipe

Order = tuple[str, ...]


class SequenceRecipe(ComparisonOptions):
    """One model that learns task after task, by several methods, in several orders.

    Attributes:
        target: Not for sequences: what is learned is named in ``tasks``.
        tasks: What is learned, one after the other: tasks, data files, or suites that hold something to be learned.
        train_items: Most training examples used of each task; all where not given.
        source: Tasks, suites or data files that stand for what the base already knows; methods that look back are given
            their training examples, and those of the tasks learned before.
        max_steps: Optimizer steps of each task; tasks that are learned jointly take as many as all of them together.
        checkpoints: How many checkpoints of each stage are kept, at log-spaced steps, the last step among them.
        orders: How many orders of the tasks are trained, the recipe's own first and the others drawn, but no more than
            there are; or the orders themselves, as lists of tasks.
        order_seed: What draws them.
        methods: Methods that learn the tasks one after the other, with their options.
        alone: Methods that learn each task by itself, from the base.
        jointly: Methods that learn all tasks at once, mixed.
        budget: Trainable parameters each method is brought to: a number, or a method such as ``lora-r8``; null leaves
            methods as they are.
        learning_rate_tries: Rates tried for each method, each on a whole sequence in the first order.
        learning_rate_rule: How the rate is chosen on validation items, by the mean over the stages of the mean of the
            tasks learned by then (average anytime accuracy): ``one_standard_error`` takes, of all rates within one
            standard error of the best, the one that forgets least of what no stage trains; ``target`` takes the best.
        test_items: Most items of a task in a test; all tasks are tested after every stage.
        rewind_rule: How each stage steps back towards where it began before the next one begins, on validation items: a
            rule such as ``keep_gain(0.95)``; null leaves every stage where it ended.
        rewind_points: Most points of a stage's path that are scored to find it, start and end included.
    """

    target: str = Field(default="", exclude=True)
    tasks: tuple[str, ...] = ("working", "diagnosis", "query", "two_hop", "cant")
    checkpoints: int = Field(default=1, ge=1)
    orders: int | tuple[Order, ...] = 3
    order_seed: int = 0
    methods: tuple[str, ...] = ("full", "lora")
    alone: tuple[str, ...] = ()
    jointly: tuple[str, ...] = ()
    budget: str | int | None = None
    rewind_rule: str | None = None

    def _between(self) -> list[str]:
        faults = []
        if self.target:
            faults.append(f"target: a sequence learns its tasks one after the other; put '{self.target}' among them")
        faults.extend(
            f"tasks: '{task}' is listed twice" for task in dict.fromkeys(self.tasks) if self.tasks.count(task) > 1
        )
        if not self.methods:
            faults.append("methods: name at least one")
        for option in ("methods", "alone", "jointly"):
            named = getattr(self, option)
            if len(set(named)) != len(named):
                faults.append(f"{option}: one is named twice")
        faults.extend(super()._between())
        if self.orders == () or (isinstance(self.orders, int) and self.orders < 1):
            faults.append("orders: give at least 1")
        return faults

    def run(self, task: str, method: str, learning_rate: float, seed: int, *, steps: int | None = None) -> TrainRecipe:
        """The recipe of one stage; ``steps`` where they are not those of a single task."""
        shared = {name: getattr(self, name) for name in TrainingOptions.model_fields}
        own = {"target": task, "max_steps": steps or self.max_steps}
        return TrainRecipe(**{**shared, **own}, method=method, learning_rate=learning_rate, seed=seed)


def orders_of(tasks: Order, asked: int | tuple[Order, ...], seed: int) -> tuple[Order, ...]:
    """The orders in which tasks are trained; where a number is asked for, the given one first, all others drawn.

    Args:
        tasks: The tasks in the recipe's order.
        asked: How many orders, or the orders themselves. There are never more than the tasks can be put in.
        seed: What draws them.

    Raises:
        RecipeError: With every fault: a given order lacks a task, repeats one, holds another, or is there twice.
    """
    if isinstance(asked, int):
        draw, found = random.Random(seed), dict.fromkeys([tasks])
        while len(found) < min(asked, math.factorial(len(tasks))):
            found[tuple(draw.sample(tasks, len(tasks)))] = None
        return tuple(found)
    faults: list[str] = []
    for order in asked:
        shown = ", ".join(order)
        faults.extend(f"orders: '{shown}' lacks '{task}'" for task in tasks if task not in order)
        faults.extend(f"orders: '{shown}' repeats '{task}'" for task in dict.fromkeys(order) if order.count(task) > 1)
        faults.extend(f"orders: '{shown}' holds '{task}', which is no task here" for task in order if task not in tasks)
    faults.extend(
        f"orders: '{', '.join(order)}' is given twice" for order in dict.fromkeys(asked) if asked.count(order) > 1
    )
    if faults:
        raise RecipeError(faults)
    return asked
