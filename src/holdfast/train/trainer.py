"""TRL's trainer, without the logits nobody learns from, and resumable for every method."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from trl import SFTTrainer

from holdfast.core.errors import TrainingDiverged
from holdfast.store.files import no_space_named
from holdfast.weights.adapter import load_tensors
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch

TENSORS = "trainable.safetensors"
STATE = "attachment.safetensors"
TOKENS = "tokens"
COMPLETE = "complete"


class CompletionTrainer(SFTTrainer):
    """``SFTTrainer`` on an attached method.

    Three things differ. Off CUDA, where TRL scores every position, logits are computed only for positions whose next
    token is learned; the loss is the same. And what is saved for resuming is the attachment's trainable tensors and
    its state, so that every method resumes in the same way, whether or not peft could load it for training. And rows
    may be trained on in a given order.
    """

    def __init__(self, attachment: Attachment, **kwargs: Any) -> None:
        self._attachment = attachment
        self._in_order = False
        self.train_dataset: Dataset
        self.completion_only_loss: bool
        super().__init__(model=attachment.model, **kwargs)
        base = getattr(attachment.model, "get_base_model", lambda: attachment.model)()
        takes = inspect.signature(type(base).forward).parameters
        virtual_tokens = getattr(getattr(attachment.model, "active_peft_config", None), "is_prompt_learning", False)
        self._keeps = "logits_to_keep" in takes and not virtual_tokens and self.args.device.type != "cuda"

    def tokenised(self, rows: Dataset) -> Dataset:
        """Other rows, tokenised, labelled and cut as training ones are; never packed."""
        learns_completions = self.completion_only_loss
        self.completion_only_loss = "completion" in rows.column_names
        try:
            return self._prepare_dataset(rows, self.processing_class, self.args, False, None, "other")
        finally:
            self.completion_only_loss = learns_completions

    def batches_of(self, tokenised: Dataset) -> Iterator[Batch]:
        """Batches of tokenised rows, in their order, as large and padded as training ones are."""
        collate, size = replace(self.data_collator, padding_free=False), self.args.per_device_train_batch_size
        rows = tokenised.select_columns(["input_ids", "labels"])
        for start in range(0, len(rows), size):
            batch = collate([rows[at] for at in range(start, min(start + size, len(rows)))])
            yield {name: tensor.to(self.args.device) for name, tensor in batch.items()}

    def train_in(self, order: Sequence[int]) -> None:
        """Train on rows in this order, once; an index may come more than once."""
        self.train_dataset = self.train_dataset.select(order)
        self._in_order = True

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(dataset) if self._in_order else super()._get_train_sampler(train_dataset)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean loss over the learned tokens of the whole optimizer step.

        Raises:
            TrainingDiverged: If the loss is no longer a number.
        """
        if self._keeps and not return_outputs and model.training:
            loss = self._loss_of_completions(model, inputs, num_items_in_batch)
        else:
            loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        value = loss[0] if return_outputs else loss
        if self.args.device.type == "cpu" and not bool(torch.isfinite(value)):
            raise diverged(self.state.global_step, float(value.detach()), self.args.learning_rate)
        return loss

    def _loss_of_completions(self, model: nn.Module, inputs: dict[str, Any], learned_tokens: Any) -> Tensor:
        labels = inputs["labels"]
        targets = nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
        # The head runs on every column in which at least one row learns; models do their own scaling and capping.
        columns = (targets != -100).any(0).nonzero()[:, 0]
        passed = {key: value for key, value in inputs.items() if key != "labels"}
        logits = model(**passed, use_cache=False, logits_to_keep=columns).logits
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), targets[:, columns].flatten(), ignore_index=-100, reduction="sum"
        )
        if "attention_mask" in inputs:
            self._total_train_tokens += int(inputs["attention_mask"].sum())
        else:
            self._total_train_tokens += inputs["input_ids"].numel()
        learned = (targets != -100).sum() if learned_tokens is None else learned_tokens
        scale = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        return scale * loss / torch.as_tensor(learned, device=loss.device).clamp(min=1)

    @property
    def tokens_seen(self) -> int:
        """Tokens of all training examples so far, padding left out."""
        return int(self._total_train_tokens)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Folders to resume from need no card; the finished checkpoint gets one."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        with no_space_named(folder / TENSORS):
            save_file({n: t.detach().contiguous() for n, t in self._attachment.trainable().items()}, folder / TENSORS)
            save_file({n: t.detach().contiguous() for n, t in self._attachment.state().items()}, folder / STATE)
            (folder / TOKENS).write_text(str(self.tokens_seen), encoding="ascii")

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        with no_space_named(folder):
            super()._save_checkpoint(model, trial)
            # The mark is written last: a folder without it was being written when the process was killed.
            for file in folder.iterdir():
                descriptor = os.open(file, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)
            (folder / COMPLETE).touch()
        # Older ones go only when this one has its mark, so that a kill at any moment leaves one that is whole.
        for older in folder.parent.glob("checkpoint-*"):
            if older != folder:
                shutil.rmtree(older, ignore_errors=True)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        folder = Path(resume_from_checkpoint)
        load_tensors(self._attachment.model, load_file(folder / TENSORS))
        self._attachment.restore(load_file(folder / STATE))
        if (folder / TOKENS).is_file():  # states of earlier versions have none
            self._total_train_tokens = int((folder / TOKENS).read_text(encoding="ascii"))


def diverged(step: int, loss: float, learning_rate: float) -> TrainingDiverged:
    """The error for a loss that is no longer a number."""
    return TrainingDiverged(
        f"the loss became {loss} at step {step} with learning rate {learning_rate:g}; "
        "try a lower learning_rate, or a longer warmup_steps"
    )
