"""A probe trains one task by plain AdamW, and a core is what has moved most."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from loops import batch
from torch import Tensor, nn

from holdfast.core.errors import BadData, TrainingDiverged
from holdfast.methods.staging.probe import Probe, core
from holdfast.testing.laws import small_model
from holdfast.weights.material import Batch


def written_out(model: nn.Module, batches: list[Batch], steps: int, rate: float) -> dict[str, Tensor]:
    """AdamW without decay (Kingma and Ba 2015), scalar formulas in float64 applied to float32 weights."""
    tensors = dict(model.named_parameters())
    first = {name: np.zeros(tensor.shape) for name, tensor in tensors.items()}
    second = {name: np.zeros(tensor.shape) for name, tensor in tensors.items()}
    model.train()
    for step in range(steps):
        loss = model(**batches[step % len(batches)]).loss
        gradients = dict(zip(tensors, torch.autograd.grad(loss, list(tensors.values())), strict=True))
        for name, tensor in tensors.items():
            gradient = gradients[name].double().numpy()
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            mean, square = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.999 ** (step + 1))
            moved = rate * mean / (np.sqrt(square) + 1e-8)
            with torch.no_grad():
                tensor.sub_(torch.tensor(moved).float())
    return {name: tensor.detach() for name, tensor in tensors.items()}


def test_it_is_adamw_written_out() -> None:
    batches, ours, twin = [batch(1), batch(2)], small_model(), small_model()
    start = {name: tensor.detach().clone() for name, tensor in ours.named_parameters()}
    Probe(5, 1e-3).train(ours, dict(ours.named_parameters()), "a", batches)
    wanted = written_out(twin, batches, 5, 1e-3)
    for name, tensor in ours.named_parameters():
        moved, meant = tensor.detach() - start[name], wanted[name] - start[name]
        # A gradient that is all rounding has a sign at random, and Adam takes it at full length.
        assert float((moved - meant).norm()) <= 1e-2 * float(meant.norm())
        assert tensor.grad is None
    assert not ours.training


def test_tensors_that_are_not_given_stay() -> None:
    model = small_model()
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    given = {name: tensor for name, tensor in model.named_parameters() if ".layers.1." in name}
    model.requires_grad_(False)
    for tensor in given.values():
        tensor.requires_grad_(True)
    Probe(2, 1e-3).train(model, given, "a", [batch(1)])
    changed = {name for name, tensor in model.named_parameters() if not torch.equal(tensor, before[name])}
    assert changed == set(given)


def test_a_core_is_the_top_share_of_a_full_sort() -> None:
    shapes, draw = {"a": (7, 5), "b": (13,), "c": (2, 3, 4)}, torch.Generator().manual_seed(0)
    start = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    tensors = {
        name: nn.Parameter(values + torch.randint(-3, 4, values.shape, generator=draw) / 8)
        for name, values in start.items()
    }
    flat = np.concatenate([np.abs((tensors[name].detach() - start[name]).numpy()).ravel() for name in shapes])
    for share in (0.0, 0.01, 0.07, 0.5, 0.99):
        count = int(round(share * 100) * len(flat) // 100)
        wanted = np.zeros(len(flat), dtype=bool)
        wanted[np.argsort(-flat, kind="stable")[:count]] = True
        found = core(tensors, start, share)
        assert found.count() == count
        assert torch.equal(torch.cat([found[name].dense().flatten() for name in shapes]), torch.from_numpy(wanted))


def test_a_loss_that_is_no_number_is_told() -> None:
    model = small_model()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("inf"))
    with pytest.raises(
        TrainingDiverged,
        match=r"probing task 'a', the loss became nan at step 0 with learning rate 0\.001; give a lower",
    ):
        Probe(2, 1e-3).train(model, dict(model.named_parameters()), "a", [batch(1)])
    assert not model.training and all(tensor.grad is None for tensor in model.parameters())


def test_a_task_without_batches_is_told() -> None:
    model = small_model()
    with pytest.raises(BadData, match=r"task 'a' has no batch to be probed on"):
        Probe(2, 1e-3).train(model, dict(model.named_parameters()), "a", [])


def test_a_stream_is_read_anew_as_often_as_it_takes() -> None:
    class Stream:
        """Batches that are made again whenever they are read."""

        opened = 0

        def __iter__(self) -> Any:
            self.opened += 1
            yield from (batch(1), batch(2))

    model, stream = small_model(), Stream()
    Probe(5, 1e-3).train(model, dict(model.named_parameters()), "a", stream)
    assert stream.opened == 3
