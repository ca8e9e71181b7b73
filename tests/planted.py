"""A path without a model, whose scores at each point are made up: what a search finds is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from holdfast.algebra.delta import Dense
from holdfast.core.scores import TaskScores, Unit
from holdfast.core.task import Ask, Example
from holdfast.weights.path import Bring
from holdfast.weights.update import Update

Curve = Callable[[float], float]


class PlantedTask:
    """A task of so many items, of which a share is answered right at each point; the same items first.

    ``asked`` are the ids of the items that were asked, by point.
    """

    chance_frac = 0.0
    max_new_tokens = 1

    def __init__(self, name: str, curve: Curve, items: int = 200, ask: Ask = "generate") -> None:
        self.name, self.curve, self.items, self.ask = name, curve, items, ask
        self.asked: dict[float, set[str]] = {}

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Example]:
        ids = range(self.items)[:limit]
        return [Example(f"{self.name}/{split}/{at}", f"{self.name} {split} {at}", "yes") for at in ids]

    def grade(self, example: Example, response: str) -> float:
        raise AssertionError("planted items are never asked")

    def scores(self, t: float, split: str, limit: int | None) -> TaskScores:
        examples = self.examples(split, limit)
        count = len(examples)
        unit: Unit = "nats/token" if self.ask == "read" else "frac"
        # A fixed order of difficulty: what is right at a lower share is right at a higher one.
        order = np.random.default_rng(len(self.name)).permutation(count) / count
        values = np.full(count, -self.curve(t)) if self.ask == "read" else (order < self.curve(t)).astype(float)
        return TaskScores(
            task=self.name,
            ask=self.ask,
            unit=unit,
            ids=tuple(example.id for example in examples),
            values=tuple(values.tolist()),
            weights=(1.0,) * count,
            kl_nats=(t**2,) * count if self.ask == "read" else None,
        )


class PlantedPath:
    """A straight path from nothing to a matrix of ones; ``stretch`` says how far it is at t."""

    def __init__(self, label: str = "planted", stretch: Curve = lambda t: t) -> None:
        self.label, self.stretch = label, stretch
        self.brought: list[float] = []

    def at(self, t: float) -> Update:
        return Update({"w": Dense(self.stretch(t) * torch.ones(2, 3))} if t else {})

    @contextmanager
    def walk(self, model: Any) -> Iterator[Bring]:
        def bring(t: float) -> Any:
            self.brought.append(t)
            return SimpleNamespace(t=t)

        yield bring
