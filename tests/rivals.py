"""A small model in a loop of somebody's own, the same loop with AdamW written out, and what every rival is asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.isolation.method import Isolating
from holdfast.testing.laws import small_model

Build = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
LR, DECAY, BETAS, EPS = 1e-2, 0.1, (0.9, 0.999), 1e-8
ADAPTER = "scalars of an adapter are held: not what the papers test"
GRADIENTS = "gradients are masked and not updates: momentum and weight decay go on moving what is held"

OPTIMIZERS: dict[str, Build] = {
    "adamw": lambda tensors: torch.optim.AdamW(tensors, lr=LR, weight_decay=DECAY),
    "adamw fused": lambda tensors: torch.optim.AdamW(tensors, lr=LR, weight_decay=DECAY, fused=True),
    "adamw foreach": lambda tensors: torch.optim.AdamW(tensors, lr=LR, weight_decay=DECAY, foreach=True),
    "sgd": lambda tensors: torch.optim.SGD(tensors, lr=LR, momentum=0.9, weight_decay=DECAY),
    "adafactor": lambda tensors: torch.optim.Adafactor(tensors, lr=LR, weight_decay=DECAY),
}


@dataclass
class Loop:
    """Batches by step, a torch optimizer, and no knowledge of isolation."""

    build: Build = OPTIMIZERS["adamw"]
    model: PreTrainedModel = field(default_factory=small_model)
    accumulate: int = 1
    clip: float | None = None
    observe: bool = False
    isolation: Isolation | None = None

    def __post_init__(self) -> None:
        self.model.train()
        self.tensors = dict(self.model.named_parameters())
        self.optimizer = self.build(list(self.tensors.values()))

    def isolate(self, method: Isolating, steps: int = 8) -> Loop:
        self.isolation = method.isolate(self.model, self.optimizer, steps=steps)
        return self

    def run(self, start: int, end: int) -> Loop:
        for step in range(start, end):
            self.backward(step)
            if self.observe:
                self.isolation.observe()
            if self.clip is not None:
                torch.nn.utils.clip_grad_norm_(self.tensors.values(), self.clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return self

    def backward(self, step: int) -> None:
        for part in range(self.accumulate):
            tokens = torch.randint(3, 128, (2, 12), generator=torch.Generator().manual_seed(1000 * step + part))
            (self.model(input_ids=tokens, labels=tokens).loss / self.accumulate).backward()

    def weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.tensors.items()}


class Written(Loop):
    """The same loop with AdamW written out, of which the held scalars of every step are said."""

    def __init__(self, **given: object) -> None:
        super().__init__(**given)
        self.forget()

    def forget(self) -> None:
        """An optimizer that has seen nothing."""
        self.first = {name: torch.zeros_like(tensor) for name, tensor in self.tensors.items()}
        self.second = {name: torch.zeros_like(tensor) for name, tensor in self.tensors.items()}
        self.steps = dict.fromkeys(self.tensors, 0)

    @torch.no_grad()
    def step(self, held: dict[str, Tensor], *, decayed: bool = False, skipped: frozenset[str] = frozenset()) -> None:
        """Move everything by AdamW but what is held; with ``decayed`` that decays, and ``skipped`` tensors rest."""
        for name, tensor in self.tensors.items():
            if name in skipped:
                tensor.grad = None
                continue
            old, gradient = tensor.detach().clone(), tensor.grad
            self.steps[name] += 1
            self.first[name].lerp_(gradient, 1 - BETAS[0])
            self.second[name].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            size = LR / (1 - BETAS[0] ** self.steps[name])
            spread = (self.second[name].sqrt() / math.sqrt(1 - BETAS[1] ** self.steps[name])).add_(EPS)
            shrunk = old * (1 - LR * DECAY)
            new = shrunk.clone().addcdiv_(self.first[name], spread, value=-size)
            stays = held.get(name, torch.zeros_like(old, dtype=torch.bool))
            tensor.copy_(torch.where(stays, shrunk if decayed else old, new))
            tensor.grad = None


def largest(scores: Tensor, share: float) -> Tensor:
    """The slow twin of a choice: a full sort, ties by position."""
    chosen = torch.zeros(scores.numel(), dtype=torch.bool)
    flat = scores.flatten().tolist()
    order = sorted(range(len(flat)), key=lambda place: (-flat[place], place))
    chosen[order[: math.floor(round(share * scores.numel(), 9))]] = True
    return chosen.view(scores.shape)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def held_and_moved(trained: Loop, step: int) -> tuple[Tensor, Tensor]:
    """Of one more step, for all scalars that could be held: which were held, and which moved."""
    before = trained.weights()
    after = trained.run(step, step + 1).weights()
    mask = trained.isolation.mask()
    held = torch.cat([bits.dense().flatten() for bits in mask.values()])
    return held, torch.cat([(before[name] != after[name]).flatten() for name in mask])


def holds_at_update_level(method: Isolating, *, before: int = 3, build: Build = OPTIMIZERS["adamw"]) -> None:
    held, moved = held_and_moved(Loop(build).isolate(method).run(0, before), before)
    assert held.any() and not bool(moved[held].any())
    assert moved[~held].float().mean() > 0.9


def drifts_at_gradient_level(method: Isolating, *, before: int = 3) -> None:
    trained = Loop().isolate(replace(method, acts="gradient")).run(0, before)
    held, moved = held_and_moved(trained, before)
    assert held.any() and moved[held].float().mean() > 0.9
    assert GRADIENTS in trained.isolation.notes()


def ends_as_if_never_stopped(method: Isolating, *, stop: int = 5, end: int = 8) -> None:
    whole = Loop().isolate(method).run(0, end)
    first, second = Loop().isolate(method).run(0, stop), Loop()
    second.model.load_state_dict(first.model.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.isolate(method).isolation.load_state_dict(
        {name: tensor.clone() for name, tensor in first.isolation.state_dict().items()}
    )
    second.run(stop, end)
    assert same(whole.weights(), second.weights())
    assert whole.isolation.mask() == second.isolation.mask()


def holds_on_lora(method: Isolating, *, steps: int = 4, total: int = 8) -> None:
    """On a LoRA, as the arena attaches it, it holds scalars of the adapter, resumed or not."""
    weights = []
    for stop in (steps, steps - 1):
        torch.manual_seed(5)
        attachment = replace(method, on="lora(r=4)").attach(small_model())
        attachment.model.eval()  # no dropout
        optimizer = torch.optim.AdamW(attachment.trainable().values(), lr=LR, weight_decay=DECAY)
        attachment.before_training(optimizer, total)
        for step in range(steps):
            if step == stop:
                state = {name: tensor.clone() for name, tensor in attachment.state().items()}
                attachment.restore(state)
                attachment.before_training(optimizer, total)
            before = {name: tensor.detach().clone() for name, tensor in attachment.trainable().items()}
            tokens = torch.randint(3, 128, (2, 12), generator=torch.Generator().manual_seed(step))
            attachment.model(input_ids=tokens, labels=tokens).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        mask = attachment.isolation.mask()
        assert mask.count() > 0
        for name, bits in mask.items():
            assert "lora" in name
            assert torch.equal(attachment.trainable()[name][bits.dense()], before[name][bits.dense()])
        assert ADAPTER in attachment.course().notes
        weights.append({name: tensor.detach().clone() for name, tensor in attachment.trainable().items()})
    assert same(*weights)
