"""Trainings of a model of which chosen tensors are trained, one stage or several in a row, by a plain loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from loops import batch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from holdfast.methods.probing.attachment import ChosenAttachment
from holdfast.methods.trace_probe import TraceProbe
from holdfast.weights.material import Batch, Material
from holdfast.weights.past import PastStage

QUICK: dict[str, Any] = {"probe_learning_rate": 1e-3, "probe_steps": 2, "fisher_n": 4}
"""A probe of two steps."""


def stream(seed: int, count: int = 2) -> list[Batch]:
    low, high = {0: (3, 40), 1: (40, 80), 2: (80, 128)}[seed % 3]
    return [batch(10 * seed + turn, low=low, high=high) for turn in range(count)]


def prepared(method: Any, model: nn.Module, seed: int = 0, past: Sequence[PastStage] = ()) -> ChosenAttachment:
    attachment = method.attach(model)
    attachment.follow(past)
    attachment.prepare(Material({f"task-{seed}": stream(seed)}))
    return attachment


def run(attachment: ChosenAttachment, seed: int = 0, steps: int = 3, start: int = 0, optimizer: Any = None) -> Any:
    """Train with AdamW and decay, as a trainer would."""
    optimizer = optimizer or torch.optim.AdamW(attachment.trainable().values(), lr=1e-2, weight_decay=0.1)
    attachment.before_training(optimizer, steps)
    attachment.model.train()
    for step in range(start, steps):
        attachment.before_forward(step, steps)
        attachment.model(**stream(seed)[step % 2]).loss.backward()
        attachment.after_backward(step, steps)
        optimizer.step()
        attachment.after_step(step, steps)
        optimizer.zero_grad()
    attachment.model.eval()
    return optimizer


def stage(method: Any, model: nn.Module, seed: int, past: Sequence[PastStage] = ()) -> tuple[PastStage, Any]:
    """One stage of a sequence; what was learned stays in the model, and what it leaves is given back with its plan."""
    attachment = prepared(method, model, seed, past)
    run(attachment, seed)
    update, kept, plan = attachment.update(), dict(attachment.keepsake()), attachment.plan()
    attachment.detach()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name in update:
                tensor.add_(update[name].dense())
    return PastStage(f"task-{seed}", lambda: update, lambda: kept), plan


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def tiny(*, tied: bool = False, dtype: torch.dtype = torch.float32, seed: int = 0) -> LlamaForCausalLM:
    """A two-layer Llama, with norms near 0.5, where half precision loses the steps of a norm."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        tie_word_embeddings=tied,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "norm" in name:
                tensor.fill_(0.5)
    return model.to(dtype)


def names(plan: Any) -> list[str]:
    return [tensor.name for tensor in plan.chosen]


def trace(**options: Any) -> TraceProbe:
    return TraceProbe(**{**QUICK, **options})
