"""Gradients that are taken elsewhere, in Hugging Face trainers: as they run, or by their events alone."""

from __future__ import annotations

from itertools import count
from typing import Any

from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.weights.contracts import Displacing
from holdfast.weights.passes import take_gradient

TOKENS = "_total_train_tokens"
"""Where TRL's trainers count the tokens they have seen."""


def take_passes(trainer: Trainer, displacing: Displacing) -> None:
    """Let a trainer take the gradient of every micro-batch where something wants it, as often as that wants.

    Weights are clean whenever the trainer does anything else, also after an exception. The loss that it logs is that of
    the first pass, and tokens are counted once.

    Args:
        trainer: Any Hugging Face or TRL trainer, before it trains; its loss is worked out as ever.
        displacing: Displaces the weights.
    """
    once, gradients = trainer.training_step, trainer.accelerator.gradient_state
    at = _MicroBatch()

    def training_step(*passed: Any, **kwargs: Any) -> Tensor:
        tokens, whole, turns = getattr(trainer, TOKENS, None), gradients.sync_gradients, count(1)

        def run() -> Tensor:
            # Only the last pass completes a step's gradient; whoever watches gradients is to hear of that one alone.
            gradients._set_sync_gradients(whole and next(turns) == displacing.passes)
            if tokens is not None:
                setattr(trainer, TOKENS, tokens)
            try:
                loss: Tensor = once(*passed, **kwargs)
            finally:
                gradients._set_sync_gradients(whole)
            return loss

        return take_gradient(displacing, run, trainer.state.global_step, at.number(trainer.state.global_step))

    trainer.training_step = training_step


class _MicroBatch:
    """Counts the micro-batches of each step."""

    def __init__(self) -> None:
        self._step, self._number = -1, 0

    def number(self, step: int) -> int:
        """The number of the next micro-batch of a step, from 0."""
        self._number = self._number + 1 if step == self._step else 0
        self._step = step
        return self._number


class PassCallback(TrainerCallback):
    """Displaces weights by a trainer's events, for what wants one pass a micro-batch.

    Weights are clean at every event but those between the micro-batches of one step. After an exception within a pass
    they are not: call `give_back` before anything is done with the model.

    Attributes:
        displacing: Displaces the weights; to be there when training begins.
    """

    def __init__(self, displacing: Displacing | None = None) -> None:
        self.displacing = displacing
        self._micro_batch = 0

    def give_back(self) -> None:
        """Make the weights clean; nothing happens where they are."""
        if self.displacing is not None:
            self.displacing.after_pass()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._displace(state.global_step, 0)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.give_back()
        self._displace(state.global_step, self._micro_batch + 1)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.give_back()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # An epoch may be ended between two micro-batches, and evaluated and saved then.
        self.give_back()

    def _displace(self, step: int, micro_batch: int) -> None:
        assert self.displacing is not None, "training has begun"
        self._micro_batch = micro_batch
        self.displacing.before_pass(step, micro_batch, 0)
