"""Scores of a model on a suite, item by item."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.errors import BadData
from holdfast.core.scores import PointScores, TaskScores
from holdfast.core.task import Example, Split, Task
from holdfast.measure.answers import answers
from holdfast.measure.choices import choice_loglikelihoods, likeliest
from holdfast.measure.reading import read
from holdfast.weights.evaluating import evaluating


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Mapping[str, Task],
    *,
    split: Split,
    limit: int | None = None,
    only: Mapping[str, Collection[str]] | None = None,
    base: PreTrainedModel | None = None,
    max_rows: int = 64,
    max_tokens: int = 16_384,
    tick: Callable[[int], None] = lambda rows: None,
) -> PointScores:
    """Ask a model every item of every task and grade what it says.

    The same examples, in the same words and the same batches, whatever the model: scores of two models may be
    subtracted item by item.

    Args:
        model: The model; it is asked without dropout, and left in the mode in which it came.
        tokenizer: Its tokenizer.
        tasks: Tasks by the name under which their scores are kept.
        split: Which split of each task to ask.
        limit: Most items of each task; all where not given.
        only: Ids of the items to ask, for tasks of which not all are asked. A task without any is left out.
        base: The base, if texts are also to give KL(base || model).
        max_rows: Most rows in a batch.
        max_tokens: Most tokens in a batch, padding included.
        tick: Told how many items are done, for progress bars.

    Raises:
        BadData: If a task has no item on this split, or an item does not fit into what the model can read.
    """
    exam = _Exam(model, tokenizer, base, {"max_rows": max_rows, "max_tokens": max_tokens, "tick": tick})
    scored = []
    with evaluating(model):
        for name, task in tasks.items():
            examples = task.examples(split, limit)
            if not examples:
                raise BadData(f"task '{name}' has no item on split '{split}'")
            if only is not None and name in only:
                wanted = frozenset(only[name])
                examples = [example for example in examples if example.id in wanted]
                if not examples:
                    continue
            ask = {"generate": exam.generated, "choose": exam.chosen, "read": exam.read}[task.ask]
            try:
                scored.append(ask(name, task, examples))
            except BadData as error:
                raise BadData(f"task '{name}': {error}") from error
    return PointScores(split=split, tasks=tuple(scored))


@dataclass(frozen=True)
class _Exam:
    """A model under examination, and how its batches are cut."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    base: PreTrainedModel | None
    batches: Mapping[str, Any]

    def generated(self, name: str, task: Task, examples: Sequence[Example]) -> TaskScores:
        said = answers(self.model, self.tokenizer, examples, max_new_tokens=task.max_new_tokens, **self.batches)
        grades = [task.grade(example, answer.text) for example, answer in zip(examples, said, strict=True)]
        return _graded(name, task, examples, grades, sum(answer.truncated for answer in said) / len(said))

    def chosen(self, name: str, task: Task, examples: Sequence[Example]) -> TaskScores:
        found = choice_loglikelihoods(self.model, self.tokenizer, examples, **self.batches)
        chosen = (likeliest(example, values) for example, values in zip(examples, found, strict=True))
        grades = [task.grade(example, choice) for example, choice in zip(examples, chosen, strict=True)]
        return _graded(name, task, examples, grades, 0.0)

    def read(self, name: str, task: Task, examples: Sequence[Example]) -> TaskScores:
        texts = read(self.model, self.tokenizer, examples, base=self.base, **self.batches)
        kl = tuple(text.kl_nats for text in texts if text.kl_nats is not None)
        return TaskScores(
            task=name,
            ask=task.ask,
            unit="nats/token",
            ids=tuple(example.id for example in examples),
            values=tuple(-text.nats / text.tokens for text in texts),
            weights=tuple(float(text.tokens) for text in texts),
            kl_nats=kl if self.base is not None else None,
        )


def _graded(
    name: str, task: Task, examples: Sequence[Example], grades: Sequence[float], truncated_frac: float
) -> TaskScores:
    return TaskScores(
        task=name,
        ask=task.ask,
        unit="frac",
        chance_frac=task.chance_frac,
        ids=tuple(example.id for example in examples),
        values=tuple(grades),
        weights=tuple(1.0 for _ in examples),
        truncated_frac=truncated_frac,
    )
