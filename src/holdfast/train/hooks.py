"""The door through which a method enters anybody's trainer."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.core.errors import HoldfastError
from holdfast.train.passes import PassCallback
from holdfast.weights.contracts import Attachment, Displacing


def callback(attachment: Attachment) -> TrainerCallback:
    """An ordinary ``TrainerCallback`` that lets an attached method act in any Hugging Face or TRL trainer.

    Train ``attachment.model`` with it::

        attachment = Lora(r=8).attach(model)
        trainer = SFTTrainer(model=attachment.model, ..., callbacks=[callback(attachment)])

    Raises:
        HoldfastError: If the method takes the gradient of a micro-batch more than once, which no callback can do.
    """
    if not isinstance(attachment, Displacing):
        return AttachmentCallback(attachment)
    if attachment.passes > 1:
        raise HoldfastError(
            f"this method sends every micro-batch forward and backward {attachment.passes} times, and no callback can "
            "make a trainer do so; attach the method below it, and put this one into the trainer by "
            "holdfast.train.widening.widen(trainer, method)"
        )
    return PassingCallback(attachment, PassCallback(attachment))


class AttachmentCallback(TrainerCallback):
    """Calls the hooks of an attachment at the right moments: before training, and in every optimizer step.

    The gradient of the method's penalty is added once a step, after clipping, so that gradient accumulation and
    clipping act on the task's own loss alone.
    """

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # A resumed run has its tensors, the attachment's state and the optimizer's own back by now.
        self._attachment.before_training(kwargs["optimizer"], state.max_steps)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._attachment.before_forward(state.global_step, state.max_steps)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        penalty = self._attachment.penalty()
        if penalty is not None:
            add_gradient(penalty, self._attachment)
        self._attachment.after_backward(state.global_step, state.max_steps)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # Gradients are still there now, and gone at on_step_end.
        self._attachment.after_step(state.global_step, state.max_steps)


class PassingCallback(AttachmentCallback):
    """Calls the hooks of an attachment around the passes of every micro-batch too, where no trainer does so."""

    def __init__(self, attachment: Attachment, passes: PassCallback) -> None:
        super().__init__(attachment)
        self._passes = passes

    def on_step_begin(self, *passed: Any, **kwargs: Any) -> None:
        super().on_step_begin(*passed, **kwargs)
        self._passes.on_step_begin(*passed, **kwargs)

    def on_substep_end(self, *passed: Any, **kwargs: Any) -> None:
        self._passes.on_substep_end(*passed, **kwargs)

    def on_pre_optimizer_step(self, *passed: Any, **kwargs: Any) -> None:
        # The penalty and the optimizer are to see clean weights.
        self._passes.on_pre_optimizer_step(*passed, **kwargs)
        super().on_pre_optimizer_step(*passed, **kwargs)

    def on_epoch_end(self, *passed: Any, **kwargs: Any) -> None:
        self._passes.on_epoch_end(*passed, **kwargs)


def add_gradient(penalty: torch.Tensor, attachment: Attachment) -> None:
    """Add the gradient of a penalty to the gradients that are already there."""
    tensors = list(attachment.trainable().values())
    for tensor, gradient in zip(tensors, torch.autograd.grad(penalty, tensors, allow_unused=True), strict=True):
        if gradient is not None:
            tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient
