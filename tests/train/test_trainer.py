"""Logits are computed only where something is learned, and the loss is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from trl import SFTConfig

from holdfast.core.task import Example
from holdfast.methods.lora import Lora
from holdfast.models.base import Base
from holdfast.train.data import training_rows
from holdfast.train.trainer import CompletionTrainer
from holdfast.weights.quiet import quiet


@pytest.fixture
def trainer(miniature: Base, examples: list[Example], tmp_path: Path) -> Any:
    with quiet():
        attachment = Lora(r=2).attach(miniature.model)
        args = SFTConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=8,
            max_length=64,
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            report_to="none",
        )
        yield CompletionTrainer(
            attachment, args=args, train_dataset=training_rows(examples), processing_class=miniature.tokenizer
        )
        attachment.detach()
        vars(miniature.model).pop("forward", None)


@pytest.mark.parametrize("learned_tokens", [None, 57])
def test_loss_and_gradients_equal_those_of_trl(trainer: Any, learned_tokens: int | None) -> None:
    batch = next(iter(trainer.get_train_dataloader()))
    model = trainer.model.train()

    def of(keeps: bool) -> tuple[float, list[torch.Tensor]]:
        trainer._keeps = keeps
        model.zero_grad()
        loss = trainer.compute_loss(model, dict(batch), num_items_in_batch=learned_tokens)
        loss.backward()
        return loss.item(), [t.grad.clone() for t in model.parameters() if t.grad is not None]

    (ours, our_gradients), (theirs, their_gradients) = of(True), of(False)
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert len(our_gradients) == len(their_gradients) > 0
    for one, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_head_runs_only_on_columns_in_which_something_is_learned(trainer: Any, miniature: Base) -> None:
    batch = next(iter(trainer.get_train_dataloader()))
    widths: list[int] = []
    head = miniature.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, args, output: widths.append(output.shape[1]))
    trainer.compute_loss(trainer.model.train(), dict(batch))
    handle.remove()
    learned = int((batch["labels"][:, 1:] != -100).any(0).sum())
    assert widths == [learned]
    assert learned < batch["labels"].shape[1] - 1


def test_tokens_are_counted_without_padding(trainer: Any) -> None:
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.compute_loss(trainer.model.train(), dict(batch))
    assert trainer.tokens_seen == int(batch["attention_mask"].sum())
