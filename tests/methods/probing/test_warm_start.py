"""A probe is a short full fine-tuning, and its end is told where it has none."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from chosen import stream, tensors_of, tiny
from torch import Tensor, nn

from holdfast.core.errors import BadData, TrainingDiverged
from holdfast.methods.probing.warm_start import WarmStart, rate_share


def test_it_is_adamw_with_a_schedule_and_clipping_written_out() -> None:
    ours, twin, batches = tiny(), tiny(), stream(0)
    effort = WarmStart(1e-3, epochs=2, steps=0, seed=5).train(ours, "a", batches)
    draw = torch.Generator().manual_seed(5)
    order = [at for _ in range(2) for at in torch.randperm(2, generator=draw).tolist()]
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-3, weight_decay=0.0)
    twin.train()
    for step, at in enumerate(order):
        optimizer.param_groups[0]["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / 4))
        twin(**batches[at]).loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    assert (effort.steps, effort.tokens) == (4, 2 * sum(int(batch["attention_mask"].sum()) for batch in batches))
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), twin.parameters(), strict=True))
    assert not ours.training and all(tensor.grad is None for tensor in ours.parameters())


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 100])
def test_the_rate_warms_up_for_a_tenth_and_no_step_is_lost(steps: int) -> None:
    shares = [rate_share(step, steps) for step in range(steps)]
    warmup = steps // 10
    assert shares[:warmup] == sorted(shares[:warmup]) and shares[warmup] == 1.0
    assert shares[warmup:] == sorted(shares[warmup:], reverse=True) and min(shares) > 0


def test_batches_come_in_the_order_of_the_seed() -> None:
    ends = []
    for seed in (1, 1, 2):
        model = tiny()
        WarmStart(1e-3, epochs=1, steps=0, seed=seed).train(model, "a", stream(0, 6))
        ends.append(tensors_of(model)["lm_head.weight"])
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_a_probe_that_diverges_is_told() -> None:
    model = tiny()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("inf"))
    with pytest.raises(
        TrainingDiverged,
        match=r"probing task 'a', the loss became nan at step 0 with learning rate 0\.001; give a lower "
        r"probe_learning_rate",
    ):
        WarmStart(1e-3, 1, 0, 0).train(model, "a", stream(0))
    assert all(tensor.grad is None for tensor in model.parameters())


class Steep(nn.Module):
    """A weight near the end of float32, that every step drives further."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.3e38]))

    def forward(self, input_ids: Tensor) -> Any:
        return SimpleNamespace(loss=-(self.w * 1e-4).sum())


def test_weights_that_are_infinite_after_the_last_step_are_told() -> None:
    with pytest.raises(TrainingDiverged, match=r"probing task 'a', weights became infinite within 1 steps with"):
        WarmStart(2e37, 1, 1, 0).train(Steep(), "a", [{"input_ids": torch.zeros(1, 1)}])


def test_a_task_without_batches_is_told() -> None:
    with pytest.raises(BadData, match=r"task 'a' has no batch to be probed on"):
        WarmStart(1e-3, 1, 0, 0).train(tiny(), "a", [])
