"""The meter in a Hugging Face or TRL trainer: a row is measured when the training of a task is over."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.measure.meter import SequenceMeter


class MeterCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Measures one row of a meter at the end of a training.

    In a script that stays as it is::

        meter = SequenceMeter(tasks)
        meter.measure(model, tokenizer, after_task=0)
        for number, rows in enumerate(data_sets, start=1):
            SFTTrainer(model, ..., callbacks=[MeterCallback(meter, after_task=number)]).train()

    Give it behind callbacks that change weights when training ends. Whatever would keep the row from being measured is
    raised before training begins.

    Args:
        meter: The meter.
        after_task: Number of the task that is trained, from 1.

    Raises:
        ValueError: If there is no such task.
    """

    def __init__(self, meter: SequenceMeter, after_task: int) -> None:
        if not 1 <= after_task <= len(meter.order):
            raise ValueError(
                f"after_task is the number of the task that is trained, 1 to {len(meter.order)}, found {after_task}; "
                "measure the untouched base with meter.measure(model, tokenizer, after_task=0)"
            )
        self._meter, self._after_task = meter, after_task

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._meter.check(kwargs["model"], kwargs["processing_class"], after_task=self._after_task)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._meter.measure(kwargs["model"], kwargs["processing_class"], after_task=self._after_task)
