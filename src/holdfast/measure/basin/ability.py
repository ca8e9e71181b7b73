"""What a model can do, as scores in [0, 1] of its items: those of a task, or of any function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.errors import BadData
from holdfast.core.keys import key_of
from holdfast.core.task import Ask, Example, Split, Task
from holdfast.measure.evaluate import evaluate
from holdfast.measure.reading import read
from holdfast.measure.same_asking import asking_of
from holdfast.weights.evaluating import evaluating

ROWS: Final = 64
"""Most rows in a batch; fixed, since the shape of a batch decides close calls between tokens."""


class Ability(Protocol):
    """Scores of a model, item by item.

    Attributes:
        name: What it is called.
        items: How many items it has.
        chance: Score of a guess that knows nothing.
        smooth: Whether scores come from likelihoods: they fall from the first step on, so that there is no basin.
        key: Of all that decides a score but for the model.
    """

    @property
    def name(self) -> str: ...
    @property
    def items(self) -> int: ...
    @property
    def chance(self) -> float: ...
    @property
    def smooth(self) -> bool: ...
    @property
    def key(self) -> str: ...

    def ask(self, model: PreTrainedModel, items: Sequence[int], rows: int = ROWS) -> Sequence[float]:
        """Scores of some items, in their order, asked in batches of at most so many rows."""
        ...


@dataclass(frozen=True)
class Scored:
    """An ability that any function scores.

    Attributes:
        name: What it is called.
        items: How many items it has.
        score: From a model and the numbers of items to their scores in [0, 1], in order.
        key: Names the function and its items, for what is kept on disk: another function, another key.
        chance: Score of a guess that knows nothing.
        smooth: Whether scores come from likelihoods.
    """

    name: str
    items: int
    score: Callable[[PreTrainedModel, Sequence[int]], Sequence[float]]
    key: str
    chance: float = 0.0
    smooth: bool = False

    def ask(self, model: PreTrainedModel, items: Sequence[int], rows: int = ROWS) -> Sequence[float]:
        """What the function says; how it cuts batches is its own affair."""
        return [float(score) for score in self.score(model, items)]


@dataclass(frozen=True)
class OfTask:
    """An ability that a task asks for and grades.

    Answers that are generated are graded; a choice by likelihood, and the likelihood of a text, are smooth. Of a text
    it is the likelihood a token, the geometric mean.

    Attributes:
        task: The task.
        tokenizer: That of the model.
        examples: The items.
        key: Of items, words, tokens and what ends an answer.
    """

    task: Task
    tokenizer: PreTrainedTokenizerBase
    examples: tuple[Example, ...]
    key: str

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name

    @property
    def items(self) -> int:
        """How many items."""
        return len(self.examples)

    @property
    def chance(self) -> float:
        """Score of a guess that knows nothing."""
        return self.task.chance_frac

    @property
    def smooth(self) -> bool:
        """Whether scores come from likelihoods."""
        return self.task.ask != "generate"

    def ask(self, model: PreTrainedModel, items: Sequence[int], rows: int = ROWS) -> Sequence[float]:
        """Scores of some items, in their order.

        Raises:
            BadData: If the task grades an answer outside of [0, 1], or an item does not fit into the model.
        """
        examples = [self.examples[item] for item in items]
        if self.task.ask == "read":
            return self._likelihoods(model, examples, rows)
        asked = {self.name: _Some(self.task, examples)}
        (found,) = evaluate(model, self.tokenizer, asked, split="test", max_rows=rows).tasks
        for example, value in zip(examples, found.values, strict=True):
            if not 0 <= value <= 1:
                raise BadData(
                    f"task '{self.name}' grades '{example.id}' with {value:g}: basins are measured with scores within "
                    "0 and 1; bring its grades into that range"
                )
        return list(found.values)

    def _likelihoods(self, model: PreTrainedModel, examples: Sequence[Example], rows: int) -> list[float]:
        with evaluating(model):
            texts = read(model, self.tokenizer, examples, base=None, max_rows=rows)
        rates = [text.nats / text.tokens for text in texts]
        # Noise may bring logits to infinity: what is said then has no likelihood, and is as good as impossible.
        return [min(1.0, math.exp(-rate)) if math.isfinite(rate) else 0.0 for rate in rates]


@dataclass(frozen=True)
class _Some(Task):
    """A task that is asked some examples, in their order."""

    task: Task
    some: Sequence[Example] = field(repr=False)

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def ask(self) -> Ask:
        return self.task.ask

    @property
    def chance_frac(self) -> float:
        return self.task.chance_frac

    @property
    def max_new_tokens(self) -> int:
        return self.task.max_new_tokens

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        return self.some[:limit]

    def grade(self, example: Example, response: str) -> float:
        return self.task.grade(example, response)


def abilities_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, Task],
    split: Split = "test",
    limit: int | None = None,
) -> tuple[OfTask, ...]:
    """The abilities that tasks ask for.

    Args:
        model: The model, for the tokens that end its answers.
        tokenizer: Its tokenizer.
        tasks: The tasks.
        split: Which items are asked.
        limit: Most items of a task.

    Raises:
        BadData: If there is no task, or one has no item on this split.
    """
    if not tasks:
        raise BadData("a basin is that of an ability, and the suite holds no task: name one with at least one")
    found = []
    for name, task in tasks.items():
        examples = tuple(task.examples(split, limit))
        if not examples:
            raise BadData(
                f"task '{name}' has no item on split '{split}', and so no basin: give it items, or leave it out"
            )
        asking = asking_of(model, tokenizer, {name: (task, examples)})
        found.append(OfTask(task, tokenizer, examples, key_of(asking.model_dump(mode="json"))))
    return tuple(found)
