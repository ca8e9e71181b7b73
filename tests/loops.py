"""Trainings by a plain loop, step by step, for methods that hold scalars: padded batches, accumulation, adapters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from holdfast.methods.isolation.method import IsolatedAttachment, Isolating
from holdfast.testing.laws import small_model
from holdfast.weights.material import Batch, Material


def batch(seed: int, rows: int = 2, width: int = 10, low: int = 3, high: int = 128) -> Batch:
    """Random tokens; the last row is padded by half."""
    tokens = torch.randint(low, high, (rows, width), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(tokens)
    mask[-1, width // 2 :] = 0
    return {"input_ids": tokens * mask, "attention_mask": mask, "labels": tokens.masked_fill(mask == 0, -100)}


def adamw(tensors: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(tensors, lr=1e-2, weight_decay=0.1)


@dataclass
class Course:
    """A training of an attached method, or of nothing at all where there is none, by a loop of one's own."""

    method: Isolating | None = None
    steps: int = 6
    accumulate: int = 1
    material: Material = field(default_factory=Material)
    model: nn.Module = field(default_factory=small_model)
    batches: Callable[[int], Batch] = batch
    seed: int = 0

    def __post_init__(self) -> None:
        self.attachment: IsolatedAttachment | None = None
        self.trained: nn.Module = self.model
        if self.method is not None:
            torch.manual_seed(self.seed)
            attachment = self.method.attach(self.model)
            assert isinstance(attachment, IsolatedAttachment)
            self.attachment, self.trained = attachment, attachment.model
            attachment.prepare(self.material)
        self.tensors = {name: t for name, t in self.trained.named_parameters() if t.requires_grad}
        self.trained.train()

    def begin(self, *states: Course) -> Course:
        """Make the optimizer; take up where another training is."""
        self.optimizer = adamw(list(self.tensors.values()))
        for other in states:
            with torch.no_grad():
                for name, tensor in self.tensors.items():
                    tensor.copy_(other.tensors[name])
            self.optimizer.load_state_dict(copy.deepcopy(other.optimizer.state_dict()))
            if self.attachment is not None:
                assert other.attachment is not None
                self.attachment.restore({name: t.clone() for name, t in other.attachment.state().items()})
        if self.attachment is not None:
            self.attachment.before_training(self.optimizer, self.steps)
        return self

    def run(self, start: int, end: int) -> Course:
        """Train from one step to another."""
        for step in range(start, end):
            if self.attachment is not None:
                self.attachment.before_forward(step, self.steps)
            self.backward(step)
            self.optimizer.step()
            if self.attachment is not None:
                self.attachment.after_step(step, self.steps)
            self.optimizer.zero_grad()
        return self

    def backward(self, step: int) -> None:
        """The gradients of a step, of all of its micro-batches."""
        for part in range(self.accumulate):
            loss = self.trained(**self.batches(100 * step + part)).loss
            (loss / self.accumulate).backward()

    def weights(self) -> dict[str, Tensor]:
        """What is trained, as it is now."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors.items()}

    def held(self) -> dict[str, Tensor]:
        """Flags of what is held, of the tensors of which anything could be."""
        assert self.attachment is not None
        return {name: bits.dense() for name, bits in self.attachment.isolation.mask().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether tensors are the same bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
    """Flags of what has changed."""
    return {name: before[name] != after[name] for name in before}
