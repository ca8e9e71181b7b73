"""How models are asked, as something that can be compared: scores are subtracted only if it is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.document import Document
from holdfast.core.errors import BadData
from holdfast.core.keys import key_of
from holdfast.core.task import Example, Task
from holdfast.measure.answers import end_tokens
from holdfast.measure.prompts import full_ids, prompt_ids


class Asking(Document):
    """All that decides how a model is asked, but for the model; each part by a key of its content.

    Attributes:
        template: The chat template of the tokenizer.
        items: Task -> its items in order, how they are put, and how long an answer may be.
        tokens: Task -> the tokens of its prompts and of their choices or answers.
        ends: Tokens that end an answer.
    """

    template: str
    items: dict[str, str]
    tokens: dict[str, str]
    ends: tuple[int, ...]


def asking_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: Mapping[str, tuple[Task, Sequence[Example]]]
) -> Asking:
    """How a model would be asked with a tokenizer.

    Args:
        model: The model, for the tokens that end its answers.
        tokenizer: Its tokenizer.
        tasks: Every task with the items that it is asked.
    """
    return Asking(
        template=key_of({"template": tokenizer.chat_template}),
        items={
            name: key_of(
                {
                    "ask": task.ask,
                    "max_new_tokens": task.max_new_tokens,
                    "items": [[one.id, one.prompt, one.answer, one.choices] for one in examples],
                }
            )
            for name, (task, examples) in tasks.items()
        },
        tokens={
            name: key_of({"rows": [row for one in examples for row in _rows(tokenizer, one)]})
            for name, (_, examples) in tasks.items()
        },
        ends=tuple(sorted(end_tokens(model, tokenizer))),
    )


def check_same(now: Asking, first: Asking, row: int, first_row: int) -> None:
    """Refuse to measure a row of a matrix in another way than those before it.

    Args:
        now: How the row would be asked.
        first: How an earlier row was asked.
        row: Its number.
        first_row: That of the earlier row.

    Raises:
        BadData: If they differ; says in what.
    """
    changed = ""
    if list(now.items) != list(first.items):
        changed = f"the tasks are {', '.join(now.items)} and were {', '.join(first.items)}"
    elif others := [task for task, key in now.items.items() if key != first.items[task]]:
        changed = f"task '{others[0]}' has other items, or puts them otherwise"
    elif now.template != first.template:
        changed = "the chat template of the tokenizer is another"
    elif others := [task for task, key in now.tokens.items() if key != first.tokens[task]]:
        changed = f"the tokenizer cuts the items of task '{others[0]}' into other tokens"
    elif now.ends != first.ends:
        changed = f"answers end with the tokens {list(now.ends)} and ended with {list(first.ends)}"
    if changed:
        raise BadData(
            f"row {row} would be asked otherwise than row {first_row}: {changed}; rows are compared item by item, so "
            "give every one of them the same tasks and the same tokenizer"
        )


def _rows(tokenizer: PreTrainedTokenizerBase, example: Example) -> Iterator[Sequence[int]]:
    yield prompt_ids(tokenizer, example)
    for completion in example.choices or (example.answer,):
        yield full_ids(tokenizer, example, completion)
