"""Examples of tasks as a data set that TRL trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets import Dataset

from holdfast.core.errors import BadData
from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example
from holdfast.methods.turns import in_turns

TASK = "task"
"""The column that says which task a row belongs to."""

SOURCE = "source"
"""What rows belong to that are none of the target's."""


def items_needed(options: TrainingOptions, tasks: int = 1) -> int | None:
    """How many examples of each task a training will see at most; all where rows are packed or the recipe says so.

    Examples beyond that would be tokenised for nothing.

    Args:
        options: Steps, batch size, and most examples of all tasks together.
        tasks: How many tasks share them evenly.
    """
    seen = options.max_steps * options.per_device_train_batch_size * options.gradient_accumulation_steps
    given = None if options.train_items is None else options.train_items // tasks
    wanted = [limit for limit in (given, None if options.packing else -(-seen // tasks)) if limit is not None]
    return min(wanted, default=None)


def evenly(examples: Mapping[str, Sequence[Example]]) -> tuple[list[Example], list[str]]:
    """As many examples of every task as the task with the most has, in turns; and the task of each.

    A task with fewer begins again when it has come to its end; one without any leaves nothing to mix.
    """
    count = max(map(len, examples.values()), default=0) if all(examples.values()) else 0
    full = {task: [some[at % len(some)] for at in range(count)] for task, some in examples.items()}
    return in_turns(full), list(examples) * count


def training_rows(examples: Sequence[Example], tasks: Sequence[str] = ()) -> Dataset:
    """Rows in TRL's own columns: ``prompt`` and ``completion``, or ``text`` where there is nothing to be asked.

    A conversation's turns become its prompt, and the answer its last turn.

    Args:
        examples: The examples.
        tasks: The task of every example, as another column; there is none where they are not given.

    Raises:
        BadData: If some examples are conversations and others plain text.
    """
    if len({isinstance(example.prompt, str) for example in examples}) > 1:
        raise BadData(
            "some training examples are conversations and others plain text, and they cannot be trained on together; "
            "give all of them in one form"
        )
    plain = all(not example.prompt for example in examples)
    rows = [{"text": example.answer} if plain else _asked(example) for example in examples]
    named = zip(rows, tasks, strict=True) if tasks else ()
    return Dataset.from_list([{**row, TASK: task} for row, task in named] if tasks else rows)


def _asked(example: Example) -> dict[str, object]:
    if isinstance(example.prompt, str):
        return {"prompt": example.prompt, "completion": example.answer}
    return {
        "prompt": [dict(turn) for turn in example.prompt],
        "completion": [{"role": "assistant", "content": example.answer}],
    }
