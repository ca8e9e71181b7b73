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


def test_batches_of_other_rows_are_tokenised_and_padded_as_training_ones(trainer: Any, examples: list[Example]) -> None:
    trainer.args.train_sampling_strategy = "sequential"
    wanted = list(trainer.get_train_dataloader())
    found = list(trainer.batches_of(trainer.tokenised(training_rows(examples))))
    assert len(found) == len(wanted) == 12
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys() == {"input_ids", "attention_mask", "labels"}
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_batches_draw_no_random_numbers_and_the_last_may_be_smaller(trainer: Any, examples: list[Example]) -> None:
    state = torch.get_rng_state()
    found = list(trainer.batches_of(trainer.tokenised(training_rows(examples[:11]))))
    assert [len(batch["input_ids"]) for batch in found] == [8, 3]
    assert torch.equal(torch.get_rng_state(), state)


def test_labels_of_other_rows_are_those_of_their_own_form(trainer: Any) -> None:
    """Texts are learned as a whole and answers alone, whatever the trainer itself learns."""
    texts = trainer.tokenised(training_rows([Example("a", "", "Once upon a time")]))
    assert texts["labels"][0] == texts["input_ids"][0]
    trainer.completion_only_loss = False
    asked = trainer.tokenised(training_rows([Example("a", "Who was it?", " Freya")]))
    assert -100 in asked["labels"][0] and asked["labels"][0][-1] != -100
    assert trainer.completion_only_loss is False


def test_rows_are_trained_on_in_the_order_that_is_given(trainer: Any) -> None:
    rows = trainer.train_dataset["input_ids"]
    order = [5, 3, 3, 0, 7, 1, 2, 95]
    trainer.train_in(order)
    (batch,) = trainer.get_train_dataloader()
    for at, row, mask in zip(order, batch["input_ids"], batch["attention_mask"], strict=True):
        assert row[mask.bool()].tolist() == rows[at]
