"""What a task is: examples with stable ids, a way to ask, and a way to grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict, runtime_checkable

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Ask = Literal["generate", "choose", "read"]
"""How an example is put to a model.

``generate``: greedy continuation of the prompt, graded by the task.
``choose``: the listed choice with the highest log-likelihood.
``read``: nothing is answered; the score is the mean log-likelihood of the text, in nats per token.
"""


class Message(TypedDict):
    """One turn of a conversation, as chat templates take it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a task.

    Attributes:
        id: Stable name of the item; equal items have equal ids in every session and on every machine.
        prompt: What the model is given: plain text, or the turns of a conversation.
        answer: A reference completion, beginning with the white space that separates it from the prompt.
            For ``read`` tasks it is the text to be read.
        choices: The completions to choose from; empty unless the task asks by choice.
        facts: What the grader needs beyond the reference answer.
    """

    id: str
    prompt: str | tuple[Message, ...]
    answer: str
    choices: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class Task(Protocol):
    """A named source of examples and the only judge of answers to them.

    Attributes:
        name: Name under which the task is installed, or the path of the file it was read from.
        ask: How its examples are put to a model.
        chance_frac: Score of a guess that knows nothing, in [0, 1].
        max_new_tokens: Most tokens an answer may take; 0 unless the task asks for generation.
    """

    @property
    def name(self) -> str: ...

    @property
    def ask(self) -> Ask: ...

    @property
    def chance_frac(self) -> float: ...

    @property
    def max_new_tokens(self) -> int: ...

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        """Examples of one split, in an order fixed by ``seed``; at most ``limit`` of them."""
        ...

    def grade(self, example: Example, response: str) -> float:
        """Score of a response in [0, 1]; the reference answer scores 1."""
        ...


@dataclass(frozen=True)
class Suite:
    """Tasks with a role: what is to be learned, and what is to be kept.

    Attributes:
        name: Name under which it is installed.
        summary: What it is, in one sentence.
        learn: Tasks to be learned.
        keep: Tasks to be kept.
    """

    name: str
    summary: str = ""
    learn: tuple[Task, ...] = ()
    keep: tuple[Task, ...] = ()
