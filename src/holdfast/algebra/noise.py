"""A change drawn at random: its numbers are made when they are asked for, and never stored."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta
from holdfast.algebra.normals import runs


class Noise(Delta):
    """Independent normal numbers of one standard deviation, each a function of seed, name and its own position.

    Args:
        shape: Shape of the tensor that is changed, or of a part of it that is whole rows.
        seed: Of the numbers.
        name: Of the tensor; tensors of one shape have numbers of their own.
        scale: Standard deviation.
        start: At which position of the whole tensor the part begins.
        device: Where the numbers are made, by operations that are rounded in one way only.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        seed: int,
        name: str,
        scale: float = 1.0,
        start: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self._shape, self._seed, self._name = tuple(shape), seed, name
        self._scale, self._start, self._device = scale, start, torch.device(device)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def device(self) -> torch.device:
        return self._device

    def runs(self) -> Iterator[tuple[int, Float[Tensor, " run"]]]:
        """The change from its first number to its last, a run at a time, each with its place in the part.

        A run may be written into, and is overwritten by the next one.
        """
        stop = self._start + math.prod(self._shape)
        for place, run in runs(self._seed, self._name, self._start, stop, self._device):
            yield place, run if self._scale == 1 else run.mul_(self._scale)

    def dense(self) -> Tensor:
        whole = torch.empty(math.prod(self._shape), device=self._device)
        for place, run in self.runs():
            whole[place : place + len(run)] = run
        return whole.view(self._shape)

    def norm(self) -> float:
        return math.hypot(*(float(torch.linalg.vector_norm(run.double())) for _, run in self.runs()))

    def to(self, device: torch.device | str) -> Delta:
        return Noise(self._shape, self._seed, self._name, self._scale, self._start, device)


def runs_of(change: Delta, together: int = 1 << 16) -> Iterator[tuple[int, Float[Tensor, " run"]]]:
    """Any change from its first number to its last, a run at a time, each with its place.

    A run may be written into, and holds until the next one is asked for. Noise is made run by run; a change in another
    form is made dense first.

    Args:
        change: The change.
        together: Numbers in a run of a dense change: as many as stay in a core's cache.
    """
    if isinstance(change, Noise):
        yield from change.runs()
        return
    place = 0
    for run in torch.split(change.dense().reshape(-1), together):
        yield place, run.clone()
        place += len(run)
