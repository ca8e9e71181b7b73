"""A change of one tensor, in the form in which it was learned."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.core.errors import NotMeasurable


class Delta(ABC):
    """What is added to one weight of shape (outputs, inputs), or to one vector.

    Forms differ in what they store and in what is cheap; every form answers as its dense form does. Answers are in
    float32, or in float64 where the stored tensors are: an update is small beside the weight it changes, and half
    precision would round it away.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor that is changed."""

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return self.dense().device

    @abstractmethod
    def dense(self) -> Tensor:
        """The change as one tensor of ``shape``. Cost: its full size in memory."""

    def times(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """What the change adds to the layer's output: ``inputs @ dense().T``."""
        self._matrix("times")
        dense = self.dense()
        return torch.nn.functional.linear(inputs.to(dense.dtype), dense)

    def times_left(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch inputs"]:
        """What the transposed change makes of the layer's outputs: ``outputs @ dense()``."""
        self._matrix("times_left")
        dense = self.dense()
        return outputs.to(dense.dtype) @ dense

    def factors(self) -> tuple[Float[Tensor, "outputs rank"], Float[Tensor, "rank inputs"]] | None:
        """Two factors whose product is the change, where it is held as such; their rank may exceed both widths."""
        return None

    def in_memory(self) -> Delta:
        """The same change, ready for many products: what is read or formed anew for each is formed once."""
        return Dense(self.dense())

    def norm(self) -> float:
        """Frobenius norm."""
        return frobenius_norm(self.dense())

    def singular_values(self) -> Float[Tensor, " rank"]:
        """All ``min(outputs, inputs)`` singular values, descending.

        Raises:
            NotMeasurable: If the change is a vector.
        """
        self._matrix("singular values")
        values: Tensor = torch.linalg.svdvals(self.dense())
        return values

    def to(self, device: torch.device | str) -> Delta:
        """The same change with its tensors on another device."""
        return Dense(self.dense().to(device))

    def _matrix(self, quantity: str) -> None:
        if len(self.shape) != 2:
            raise NotMeasurable(f"{quantity} of a change of shape {self.shape}: defined for matrices only")


def exact(tensor: Tensor) -> Tensor:
    """The tensor in float32, or unchanged if it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def frobenius_norm(tensor: Tensor) -> float:
    """Frobenius norm of a tensor of any size and precision, summed in float64.

    A sum in float32 is too small by 0.1 % for 4096 x 4096 entries and by 0.4 % for 11008 x 4096.
    """
    # A few at a time stay in a core's cache when they are widened: a tenth of the time.
    parts = torch.split(tensor.detach().reshape(-1), 2**17)
    return math.hypot(*(float(torch.linalg.vector_norm(part.double())) for part in parts))


class Dense(Delta):
    """A change stored in full."""

    def __init__(self, change: Tensor) -> None:
        self._change = exact(change.detach())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._change.shape)

    def dense(self) -> Tensor:
        return self._change

    def in_memory(self) -> Delta:
        return self


class Scaled(Delta):
    """Another change times a number."""

    def __init__(self, factor: float, change: Delta) -> None:
        self._factor, self._change = factor, change

    @property
    def shape(self) -> tuple[int, ...]:
        return self._change.shape

    @property
    def device(self) -> torch.device:
        return self._change.device

    def dense(self) -> Tensor:
        return self._factor * self._change.dense()

    def times(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        return self._factor * self._change.times(inputs)

    def times_left(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch inputs"]:
        return self._factor * self._change.times_left(outputs)

    def factors(self) -> tuple[Float[Tensor, "outputs rank"], Float[Tensor, "rank inputs"]] | None:
        inner = self._change.factors()
        return None if inner is None else (self._factor * inner[0], inner[1])

    def in_memory(self) -> Delta:
        return Scaled(self._factor, self._change.in_memory())

    def norm(self) -> float:
        return abs(self._factor) * self._change.norm()

    def singular_values(self) -> Float[Tensor, " rank"]:
        return abs(self._factor) * self._change.singular_values()

    def to(self, device: torch.device | str) -> Delta:
        return Scaled(self._factor, self._change.to(device))


class Sum(Delta):
    """Several changes of the same tensor, one on top of the other."""

    def __init__(self, *changes: Delta) -> None:
        shapes = {change.shape for change in changes}
        if len(shapes) != 1:
            raise ValueError(f"changes of shapes {sorted(shapes)} cannot be added")
        self._changes = changes

    @property
    def shape(self) -> tuple[int, ...]:
        return self._changes[0].shape

    @property
    def device(self) -> torch.device:
        return self._changes[0].device

    def dense(self) -> Tensor:
        first, *rest = (change.dense() for change in self._changes)
        for change in rest:
            first = first + change
        return first

    def times(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        first, *rest = (change.times(inputs) for change in self._changes)
        for change in rest:
            first = first + change
        return first

    def times_left(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch inputs"]:
        first, *rest = (change.times_left(outputs) for change in self._changes)
        for change in rest:
            first = first + change
        return first

    def factors(self) -> tuple[Float[Tensor, "outputs rank"], Float[Tensor, "rank inputs"]] | None:
        """The factors of all parts side by side, where each part has some."""
        pairs = [pair for change in self._changes if (pair := change.factors()) is not None]
        if len(pairs) < len(self._changes):
            return None
        lefts, rights = zip(*pairs, strict=True)
        return torch.cat(lefts, dim=1), torch.cat(rights)

    def in_memory(self) -> Delta:
        return Sum(*(change.in_memory() for change in self._changes))

    def to(self, device: torch.device | str) -> Delta:
        return Sum(*(change.to(device) for change in self._changes))
