"""Checkpoints of a training, written while it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.core.recipe import TrainRecipe
from holdfast.models.base import Base
from holdfast.store.files import write_text
from holdfast.store.run import RunFolder
from holdfast.train.schedule import log_spaced_steps
from holdfast.train.trainer import diverged
from holdfast.weights.contracts import Attachment
from holdfast.weights.paths.complaints import PROVENANCE, marks_to_record

Tick = Callable[[int, int, float | None], None]
"""Told the step, the number of steps and the latest loss."""


class CheckpointCallback(TrainerCallback):
    """Keeps checkpoints at log-spaced steps, each whole or not at all, and never one with numbers that are none."""

    def __init__(self, base: Base, attachment: Attachment, recipe: TrainRecipe, folder: RunFolder, tick: Tick) -> None:
        self._base, self._attachment, self._recipe, self._folder, self._tick = base, attachment, recipe, folder, tick
        self._steps = log_spaced_steps(recipe.max_steps, recipe.checkpoints)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        step = state.global_step
        logged = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), None)
        self._tick(step, state.max_steps, logged)
        if step not in self._steps or self._folder.checkpoint(step).is_dir():
            return
        if not all(bool(torch.isfinite(tensor).all()) for tensor in self._attachment.trainable().values()):
            raise diverged(step, float("nan"), self._recipe.learning_rate)
        with self._folder.new_checkpoint(step) as folder:
            self._attachment.save(folder)
            if (folder / "config.json").is_file():
                self._base.tokenizer.save_pretrained(folder)
            provenance = {
                "base": self._base.name,
                "base_identity": self._base.identity,
                "method": self._recipe.method,
                "recipe": self._recipe.key(),
                "step": step,
                **marks_to_record(folder),
            }
            write_text(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
