"""Gaussian noise around clean weights, drawn anew for every micro-batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from holdfast.algebra.noise import Noise
from holdfast.methods.widening.displacement import Displacement
from holdfast.weights.bare import base_name
from holdfast.weights.perturbing.pristine import Copied
from holdfast.weights.perturbing.rounding import Rounding
from holdfast.weights.perturbing.sweep import Sweep
from holdfast.weights.update import Update


class GaussianNoise(Displacement):
    """Gradients at ``weights + sigma * noise``: those of the loss smoothed by that noise, in expectation.

    Noise is a function of seed, step, micro-batch, name and position: nothing is remembered from step to step, a
    training that is resumed meets the same noise, and torch's generators are left alone. Processes that train copies
    of one model side by side meet noise of their own.

    Args:
        model: What is trained.
        sigma: Standard deviation of the noise of every scalar; at 0 nothing happens at all.
        seed: Of the noise.
        matrices_only: Leave tensors of one dimension, norms and biases, where they are.
        who: The method, for messages.
    """

    def __init__(
        self, model: nn.Module, sigma: float, seed: int = 0, *, matrices_only: bool = False, who: str = "noise"
    ) -> None:
        super().__init__(model, who)
        self._sigma, self._seed, self._matrices_only = sigma, seed, matrices_only

    @property
    def passes(self) -> int:
        return 1

    def takes(self, tensor: Tensor) -> bool:
        return tensor.dim() > 1 or not self._matrices_only

    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        if self._sigma:
            self._displace(self.direction(step, micro_batch), self._sigma)

    @contextmanager
    def at(self, step: int, micro_batch: int = 0) -> Iterator[None]:
        """Weights stand elsewhere inside the block, for the forward and backward pass of one micro-batch."""
        try:
            self.before_pass(step, micro_batch, 0)
            yield
        finally:
            self.after_pass()

    def direction(self, step: int, micro_batch: int = 0) -> Update:
        """The noise of a micro-batch, of standard deviation 1."""
        draw = f"{step} {_among_processes(micro_batch)}"
        return Update(
            {
                name: Noise(tuple(tensor.shape), self._seed, f"{base_name(name)} {draw}", device=tensor.device)
                for name, tensor in self.tensors.items()
            }
        )

    def rounding(self) -> Rounding:
        """What the precision of the weights leaves of the noise of the first micro-batch.

        Raises:
            NotMeasurable: If there is no noise.
        """
        sweep = Sweep(self._model, self.direction(0), self.tensors, Copied(self.tensors))
        return sweep.rounding(self._sigma)


def _among_processes(micro_batch: int) -> int:
    """The number of a micro-batch among those of all processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return micro_batch
    return micro_batch * torch.distributed.get_world_size() + torch.distributed.get_rank()
