"""Changes of few entries, kept as positions and values."""

from __future__ import annotations

from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from holdfast.algebra.delta import Delta, exact, frobenius_norm


class Sparse(Delta):
    """A change that is zero but for the listed entries.

    Args:
        positions: Positions in the flattened tensor, each at most once.
        values: The change at each position.
        shape: Shape of the tensor that is changed.
    """

    def __init__(
        self, positions: Int[Tensor, " entries"], values: Float[Tensor, " entries"], shape: tuple[int, ...]
    ) -> None:
        if positions.shape != values.shape:
            raise ValueError(f"{len(positions)} positions do not fit {len(values)} values")
        if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) < prod(shape):
            raise ValueError(f"positions lie outside a tensor of shape {shape}")
        if len(torch.unique(positions)) != len(positions):
            raise ValueError("a position is listed twice")
        self._positions, self._values, self._shape = positions, exact(values.detach()), tuple(shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def device(self) -> torch.device:
        return self._values.device

    def dense(self) -> Tensor:
        flat = self._values.new_zeros(prod(self._shape))
        flat[self._positions] = self._values
        return flat.reshape(self._shape)

    def times(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Cost: one multiplication an entry, not one an element of the matrix."""
        self._matrix("times")
        return self._spread(inputs, self._shape, self._positions)

    def times_left(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch inputs"]:
        self._matrix("times_left")
        height, width = self._shape
        transposed = self._positions % width * height + self._positions // width
        return self._spread(outputs, (width, height), transposed)

    def in_memory(self) -> Delta:
        return self

    def norm(self) -> float:
        return frobenius_norm(self._values)

    def to(self, device: torch.device | str) -> Delta:
        return Sparse(self._positions.to(device), self._values.to(device), self._shape)

    def _spread(self, rows: Tensor, shape: tuple[int, ...], positions: Tensor) -> Tensor:
        """``rows @ matrix.T`` for the matrix of a shape that holds the values at the positions given."""
        places = torch.stack([positions // shape[1], positions % shape[1]])
        # Positions were checked when this change was made.
        matrix = torch.sparse_coo_tensor(places, self._values, shape, check_invariants=False)
        columns = rows.to(self._values.dtype).reshape(-1, shape[1]).T
        product: Tensor = torch.sparse.mm(matrix, columns)
        return product.T.reshape(*rows.shape[:-1], shape[0])
