"""A method enters anybody's trainer through one callback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from holdfast.core.task import Example
from holdfast.methods.lora import Lora
from holdfast.models.base import Base
from holdfast.train.data import training_rows
from holdfast.train.hooks import add_gradient, callback
from holdfast.weights.attachment import Hookless
from holdfast.weights.quiet import quiet


class Spy(Hookless):
    """An attachment on one number that writes down what is called, and what it could see then."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner
        self.calls: list[tuple[str, int, int, bool]] = []
        self.shown: list[tuple[type, int, bool]] = []

    def trainable(self) -> dict[str, nn.Parameter]:
        return dict(self.inner.trainable())

    def _note(self, name: str, step: int, steps: int) -> None:
        gradients = [tensor.grad is not None for tensor in self.trainable().values()]
        self.calls.append((name, step, steps, all(gradients)))

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        moved = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
        inside = getattr(optimizer, "optimizer", optimizer)
        self.shown.append((type(inside), steps, moved == {id(tensor) for tensor in self.trainable().values()}))

    def before_forward(self, step: int, steps: int) -> None:
        self._note("before_forward", step, steps)

    def after_backward(self, step: int, steps: int) -> None:
        self._note("after_backward", step, steps)

    def after_step(self, step: int, steps: int) -> None:
        self._note("after_step", step, steps)


def arguments(kind: type, tmp_path: Path, **more: Any) -> Any:
    given = {
        "output_dir": str(tmp_path),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 3,
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    return kind(**given, **more)


EXPECTED = [
    (name, step, 2, has_gradients)
    for step in range(2)
    for name, has_gradients in (("before_forward", False), ("after_backward", True), ("after_step", True))
]


SHOWN = [(torch.optim.AdamW, 2, True)]
"""The loop's optimizer, torch's own inside it, which moves the very tensors that are trained."""


def test_hooks_are_called_once_a_step_in_trl_also_with_gradient_accumulation(
    miniature: Base, examples: list[Example], tmp_path: Path
) -> None:
    with quiet():
        attachment = Lora(r=2).attach(miniature.model)
        spy = Spy(attachment)
        trainer = SFTTrainer(
            model=attachment.model,
            args=arguments(SFTConfig, tmp_path),
            train_dataset=training_rows(examples),
            processing_class=miniature.tokenizer,
            callbacks=[callback(spy)],  # type: ignore[arg-type]
        )
        trainer.train()
        attachment.detach()
        vars(miniature.model).pop("forward", None)
    assert spy.calls == EXPECTED
    assert spy.shown == SHOWN


def test_hooks_are_called_in_the_plain_trainer_of_transformers(
    miniature: Base, examples: list[Example], tmp_path: Path
) -> None:
    rows = [miniature.tokenizer(e.prompt + e.answer)["input_ids"][:12] for e in examples]
    data = [{"input_ids": row, "labels": row} for row in rows if len(row) == 12]
    with quiet():
        attachment = Lora(r=2).attach(miniature.model)
        spy = Spy(attachment)
        trainer = Trainer(
            model=attachment.model,
            args=arguments(TrainingArguments, tmp_path),
            train_dataset=data,
            callbacks=[callback(spy)],  # type: ignore[arg-type]
        )
        trainer.train()
        attachment.detach()
    assert spy.calls == EXPECTED
    assert spy.shown == SHOWN


class Pulled(Hookless):
    """Two numbers with a penalty on one of them."""

    def __init__(self) -> None:
        self.one, self.other = nn.Parameter(torch.tensor(3.0)), nn.Parameter(torch.tensor(1.0))

    def trainable(self) -> dict[str, nn.Parameter]:
        return {"one": self.one, "other": self.other}

    def penalty(self) -> torch.Tensor:
        return self.one**2


@pytest.mark.parametrize("already", [None, 10.0])
def test_the_gradient_of_a_penalty_is_added_to_what_is_there(already: float | None) -> None:
    pulled = Pulled()
    pulled.one.grad = None if already is None else torch.tensor(already)
    add_gradient(pulled.penalty(), pulled)  # type: ignore[arg-type]
    assert pulled.one.grad == 6.0 + (already or 0.0)
    assert pulled.other.grad is None
