"""What a training step holds beside the weights: full fine-tuning against one TRACE stage at a tenth of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from benchmarks.harness import llama, side_by_side, table
from holdfast.methods.probing.applying import apply_plan
from holdfast.methods.trace_probe import trace_probe_plan

HIDDEN, LAYERS, VOCABULARY = 512, 8, 4096
ROWS, TOKENS = 4, 128
RATIO = 0.1


def run(hidden: int = HIDDEN, layers: int = LAYERS) -> str:
    """The table of bytes held by gradients and optimizer, and of the time of a step."""
    torch.set_num_threads(1)
    batch = _batch()
    whole, staged = llama(VOCABULARY, hidden, layers), llama(VOCABULARY, hidden, layers)
    plan = trace_probe_plan(
        staged, [batch], ratio=RATIO, budget="params", seed=0, probe_learning_rate=1e-4, probe_steps=2, fisher_n=2
    )
    applied = apply_plan(plan, staged)
    steps, held = {}, {}
    for name, model in {"full fine-tuning": whole, "TRACE stage": staged}.items():
        optimizer = torch.optim.AdamW([t for t in model.parameters() if t.requires_grad], lr=1e-5, fused=True)
        steps[name] = _step(model, optimizer, batch)
        steps[name]()
        held[name] = _bytes(_held(model, optimizer))
    applied.check()
    share = plan.trained_params / plan.model_params
    ratio = held["TRACE stage"] / held["full fine-tuning"]
    heading = f"A training step, {plan.model_params:,} scalars of which TRACE trains {share:.1%}"
    told = ", ".join(f"{name} {size / 2**20:,.1f} MiB" for name, size in held.items())
    return f"{table(heading, side_by_side(steps), 'full fine-tuning')}\nGradients and optimizer: {told}: {ratio:.3f}x\n"


def _batch() -> dict[str, Tensor]:
    tokens = torch.randint(3, VOCABULARY, (ROWS, TOKENS), generator=torch.Generator().manual_seed(0))
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": tokens}


def _step(model: PreTrainedModel, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> Callable[[], None]:
    def step() -> None:
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)  # gradients are counted as they lie there between steps

    return step


def _held(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return states + [tensor.grad for tensor in model.parameters() if tensor.grad is not None]


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
