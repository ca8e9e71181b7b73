"""Examples of a task as a data set that TRL trains on."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Dataset

from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example


def items_needed(options: TrainingOptions) -> int | None:
    """How many examples a training will see at most; all of them where rows are packed or the recipe says so.

    Examples beyond that would be tokenised for nothing.
    """
    seen = options.max_steps * options.per_device_train_batch_size * options.gradient_accumulation_steps
    wanted = [limit for limit in (options.train_items, None if options.packing else seen) if limit is not None]
    return min(wanted, default=None)


def training_rows(examples: Sequence[Example]) -> Dataset:
    """Rows in TRL's own columns: ``prompt`` and ``completion``, or ``text`` where there is nothing to be asked.

    A conversation's turns become its prompt, and the answer its last turn.
    """
    if all(not example.prompt for example in examples):
        return Dataset.from_list([{"text": example.answer} for example in examples])
    return Dataset.from_list([_asked(example) for example in examples])


def _asked(example: Example) -> dict[str, object]:
    if isinstance(example.prompt, str):
        return {"prompt": example.prompt, "completion": example.answer}
    return {
        "prompt": [dict(turn) for turn in example.prompt],
        "completion": [{"role": "assistant", "content": example.answer}],
    }
