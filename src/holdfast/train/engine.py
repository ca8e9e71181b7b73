"""One training run, from a base and a method to a folder of checkpoints."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed
from trl import SFTConfig

from holdfast.core.errors import BadData
from holdfast.core.recipe import TrainRecipe
from holdfast.core.record import Record
from holdfast.core.task import Example
from holdfast.models.base import Base
from holdfast.store.files import write_tensors, write_text
from holdfast.store.run import RunFolder
from holdfast.train.data import training_rows
from holdfast.train.facts import attached_facts, saved_facts, trained_facts
from holdfast.train.hooks import AttachmentCallback
from holdfast.train.schedule import log_spaced_steps
from holdfast.train.trainer import COMPLETE, CompletionTrainer, diverged
from holdfast.weights.adapter import count, is_adapter
from holdfast.weights.contracts import Attachment, Method
from holdfast.weights.logits import fixed_inputs, logits_on
from holdfast.weights.paths.complaints import PROVENANCE, marks_to_record
from holdfast.weights.quiet import quiet

RESUME_EVERY_FRAC = 0.25
"""Share of the steps after which a state to resume from is written."""

Tick = Callable[[int, int, float | None], None]
"""Told the step, the number of steps and the latest loss."""


def train(
    base: Base,
    method: Method,
    examples: Sequence[Example],
    recipe: TrainRecipe,
    folder: RunFolder,
    tick: Tick = lambda step, steps, loss: None,
) -> None:
    """Train a method on a base and leave checkpoints, facts and the mark of a finished training in a folder.

    A training that was cut off goes on from its last complete state and ends as if it had not been; a finished one
    is not repeated. The base is given back bit for bit.

    Args:
        base: The base; its model is borrowed.
        method: What is to move, and how.
        examples: Training examples.
        recipe: All other options.
        folder: An opened run folder.
        tick: For progress bars.

    Raises:
        TrainingDiverged: If the loss is no longer a number.
        NoSpace: If the disk is full.
        BadData: If there is nothing to learn.
    """
    if folder.trained:
        return
    if not examples:
        raise BadData(f"target '{recipe.target}' has no training example")
    started = time.perf_counter()
    dtype = base.model.dtype
    inputs = fixed_inputs(base.tokenizer, examples, base.model.device)
    base_logits = logits_on(base.model, inputs)
    set_seed(recipe.seed)
    with quiet():
        attachment = method.attach(base.model)
    try:
        with quiet():
            facts = attached_facts(attachment, base_logits, inputs)
            trainer = _trainer(base, attachment, examples, recipe, folder, tick, dtype)
            if not len(trainer.train_dataset):
                raise BadData(
                    f"target '{recipe.target}': all of its {len(examples)} training examples are longer than "
                    f"max_length ({recipe.max_length} tokens) before their answers begin; raise max_length"
                )
            trainer.train(resume_from_checkpoint=_last_state(folder.resume))
        live = logits_on(attachment.model, inputs)
        facts += trained_facts(attachment, base.model)
        facts += _data_facts(trainer, examples, recipe)
        facts.append(Record(subject="run", quantity="trainable_params_at_end", value=count(attachment.model)))
        _keep_initial(attachment, method, folder, recipe.max_steps)
    finally:
        attachment.detach()
        vars(base.model).pop("forward", None)  # TRL's patched forward gives way to the class's own
        base.model.eval()
    facts += saved_facts(base, folder.checkpoint(recipe.max_steps), live, inputs)
    folder.write_facts(facts)
    folder.mark_trained(
        {
            "losses": [[entry["step"], entry["loss"]] for entry in trainer.state.log_history if "loss" in entry],
            "tokens_seen": trainer.tokens_seen,
            "wall_s": time.perf_counter() - started,
        }
    )
    shutil.rmtree(folder.resume, ignore_errors=True)


def _keep_initial(attachment: Attachment, method: Method, folder: RunFolder, last: int) -> None:
    """Keep where an adapter started: its own way back begins there. A full model starts at the base, which is kept."""
    # What moves the base is stored in another form than it is trained in, and starts at the base in that.
    if method.moves_base or not is_adapter(folder.checkpoint(last)) or folder.initial.is_file():
        return
    tensors = {name: tensor.contiguous() for name, tensor in attachment.initial().items()}
    write_tensors(folder.initial, tensors)


def _trainer(
    base: Base,
    attachment: Attachment,
    examples: Sequence[Example],
    recipe: TrainRecipe,
    folder: RunFolder,
    tick: Tick,
    dtype: torch.dtype,
) -> CompletionTrainer:
    device = base.model.device.type
    args = SFTConfig(
        output_dir=str(folder.resume),
        max_steps=recipe.max_steps,
        per_device_train_batch_size=recipe.per_device_train_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type,
        warmup_steps=recipe.warmup_steps,
        optim="adamw_torch_fused",
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        max_grad_norm=recipe.max_grad_norm,
        max_length=recipe.max_length,
        packing=recipe.packing,
        train_sampling_strategy=recipe.train_sampling_strategy,
        activation_checkpointing=recipe.activation_checkpointing,
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=device == "cpu",
        bf16=device == "cuda" and dtype == torch.bfloat16,
        fp16=device == "cuda" and dtype == torch.float16,
        loss_type="nll",
        logging_steps=max(1, recipe.max_steps // 20),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=max(1, round(RESUME_EVERY_FRAC * recipe.max_steps)),
        save_total_limit=1,
        report_to=recipe.report_to,
        disable_tqdm=True,
    )
    trainer = CompletionTrainer(
        attachment,
        args=args,
        train_dataset=training_rows(examples),
        processing_class=base.tokenizer,
        callbacks=[AttachmentCallback(attachment), CheckpointCallback(base, attachment, recipe, folder, tick)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


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


def _last_state(folder: Path) -> str | None:
    """The latest complete state to resume from; incomplete ones are removed."""
    states = []
    for state in folder.glob("checkpoint-*"):
        if (state / COMPLETE).is_file():
            states.append((int(state.name.removeprefix("checkpoint-")), state))
        else:
            shutil.rmtree(state)
    return str(max(states)[1]) if states else None


def _data_facts(trainer: CompletionTrainer, examples: Sequence[Example], recipe: TrainRecipe) -> list[Record]:
    """How many examples were left out because nothing to learn was left of them, and how many reach the limit."""
    if recipe.packing:
        reason = "examples are packed: TRL does not tell which were cut"
        return [Record(subject="run", quantity=name, reason=reason) for name in ("dropped_items", "full_length_items")]
    rows = trainer.train_dataset
    reached = sum(len(ids) >= recipe.max_length for ids in rows["input_ids"])
    return [
        Record(subject="run", quantity="dropped_items", value=len(examples) - len(rows)),
        Record(subject="run", quantity="full_length_items", value=reached),
    ]
