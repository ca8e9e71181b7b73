"""Looking before training: what a method is shown, and that it leaves no trace but what it remembers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from holdfast.core.errors import HoldfastError
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Batch, Material

Make = Callable[[], Iterator[Batch]]
"""Makes batches, the same ones each time."""


class Batches:
    """A stream of batches that is made when it is first read, and the same whenever it is read again.

    Args:
        make: Makes the batches.
        opened: Told before the first batch is given, each time the stream is read.
    """

    def __init__(self, make: Make, opened: Callable[[], None]) -> None:
        self._make, self._opened = make, opened

    def __iter__(self) -> Iterator[Batch]:
        self._opened()
        yield from self._make()


def look(attachment: Attachment, target: Mapping[str, Make], source: Make) -> None:
    """Let a method look at data; what it does not remember is afterwards as it was: tensors, gradients, random numbers.

    Tensors are compared by a hash of each, taken when the first batch is asked for, so that methods that look at
    nothing cost nothing.

    Args:
        attachment: The method on the model.
        target: Makes the batches of every task.
        source: Makes the batches of what the model already knows.

    Raises:
        HoldfastError: If the method has left tensors of the model other than they were.
    """
    model = attachment.model
    before: dict[str, str] = {}

    def opened() -> None:
        if not before:
            before.update(_marks(model))

    streams = {task: Batches(make, opened) for task, make in target.items()}
    training = model.training
    with random_numbers_kept(model):
        attachment.prepare(Material(streams, Batches(source, opened)))
    model.train(training)
    for tensor in model.parameters():
        tensor.grad = None
    if before and (changed := sorted(set(before.items()) ^ set(_marks(model).items()))):
        raise HoldfastError(
            f"the method has changed '{changed[0][0]}' while it looked at data before training; "
            "prepare() must leave all tensors as they were"
        )


def _marks(model: nn.Module) -> dict[str, str]:
    return {name: _mark(tensor) for name, tensor in model.state_dict().items()}


def _mark(tensor: torch.Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().flatten()
    return hashlib.blake2b(flat.view(torch.uint8).numpy().data, digest_size=16).hexdigest()


@contextmanager
def random_numbers_kept(model: nn.Module) -> Iterator[None]:
    """Random numbers go on after a ``with`` block as if it had drawn none."""
    device = next(model.parameters()).device
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
