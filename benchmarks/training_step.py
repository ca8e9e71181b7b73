"""A training step of LoRA: plain TRL, TRL with our callback, and our trainer on the same examples."""

from __future__ import annotations

import math
import random
import tempfile
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PrinterCallback
from trl import SFTConfig, SFTTrainer

from benchmarks.harness import Timed, llama, side_by_side, table
from holdfast.methods.lora import Lora
from holdfast.models.base import open_base
from holdfast.train.hooks import callback
from holdfast.train.trainer import CompletionTrainer
from holdfast.weights.quiet import quiet

VOCABULARY, EXAMPLES, BATCH = 32_000, 32, 8
LEARNED_SHARE = 0.25


def examples() -> Dataset:
    """Rows of log-normal length, 68 tokens in the mean and 199 at most; the last quarter of each is learned."""
    draw = random.Random(0)
    rows = []
    for _ in range(EXAMPLES):
        length = min(199, max(8, round(draw.lognormvariate(math.log(55), 0.65))))
        ids = [1, *(draw.randrange(3, VOCABULARY) for _ in range(length - 1))]
        start = round(length * (1 - LEARNED_SHARE))
        rows.append({"input_ids": ids, "labels": [-100] * start + ids[start:]})
    return Dataset.from_list(rows)


class Setting:
    """One way to train: a trainer is built anew for every run, and its optimizer steps are what is timed."""

    def __init__(self, model: PreTrainedModel, data: Dataset, *, ours: bool, attached: bool, buckets: bool) -> None:
        self._model, self._data = model, data
        self._ours, self._attached, self._buckets = ours, attached, buckets

    def trainer(self, folder: str) -> tuple[Any, Any]:
        """A fresh trainer and its attachment."""
        torch.manual_seed(0)
        attachment = Lora(r=8).attach(self._model)
        args = SFTConfig(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-4,
            max_length=None,
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            train_sampling_strategy="group_by_length" if self._buckets else "random",
            dataset_kwargs={"skip_prepare_dataset": True},
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_steps=1,
        )
        given = {
            "args": args,
            "train_dataset": self._data,
            "processing_class": open_base("miniature").tokenizer,
            "callbacks": [callback(attachment)] if self._attached else [],
        }
        made = CompletionTrainer(attachment, **given) if self._ours else SFTTrainer(attachment.model, **given)
        made.remove_callback(PrinterCallback)
        return made, attachment

    def losses(self) -> list[float]:
        """The loss of every step of one epoch."""
        with quiet(), tempfile.TemporaryDirectory() as folder:
            trainer, attachment = self.trainer(folder)
            trainer.train()
            self._free(attachment)
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    def total(self) -> float:
        """Loss summed over all learned tokens before any step, whatever the order and the batches."""
        with quiet(), tempfile.TemporaryDirectory() as folder:
            trainer, attachment = self.trainer(folder)
            model = trainer.model.train()
            batches = trainer.get_train_dataloader()
            found = sum(float(trainer.compute_loss(model, dict(b), num_items_in_batch=1).detach()) for b in batches)
            self._free(attachment)
        return found

    def _free(self, attachment: Any) -> None:
        attachment.detach()
        vars(self._model).pop("forward", None)


def run() -> str:
    """Assert equal losses, time, and return the table."""
    torch.set_num_threads(1)
    model, data = llama(VOCABULARY), examples()
    plain = Setting(model, data, ours=False, attached=False, buckets=False)
    attached = Setting(model, data, ours=False, attached=True, buckets=False)
    completion = Setting(model, data, ours=True, attached=True, buckets=False)
    buckets = Setting(model, data, ours=True, attached=True, buckets=True)

    expected = plain.losses()
    for way in (attached, completion):
        found = way.losses()
        assert all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(expected, found, strict=True)), (expected, found)
    assert math.isclose(plain.total(), buckets.total(), rel_tol=1e-5)

    times: dict[str, Timed] = side_by_side(
        {
            "plain TRL": plain.losses,
            "plain TRL again": plain.losses,
            "plain TRL, our callback": attached.losses,
            "logits of completions only": completion.losses,
            "and batches of similar length": buckets.losses,
        }
    )
    shape = f"LoRA r8, hidden 256, 4 layers, vocabulary {VOCABULARY:,}, a quarter of the tokens learned"
    return table(f"A training step ({shape})", times, "plain TRL")
