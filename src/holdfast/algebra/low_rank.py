"""Changes of low rank, kept as their two factors; the product is never formed to answer about it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta, exact


class LowRank(Delta):
    """The change ``left @ right``: LoRA and its kin, compact reflections, any truncated update.

    Args:
        left: Outputs by rank.
        right: Rank by inputs.
    """

    def __init__(self, left: Float[Tensor, "outputs rank"], right: Float[Tensor, "rank inputs"]) -> None:
        if left.shape[1] != right.shape[0]:
            raise ValueError(f"factors of shapes {tuple(left.shape)} and {tuple(right.shape)} do not meet")
        self.left, self.right = exact(left.detach()), exact(right.detach())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.left.shape[0], self.right.shape[1]

    @property
    def device(self) -> torch.device:
        return self.left.device

    def dense(self) -> Tensor:
        return self.left @ self.right

    def times(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        return inputs.to(self.left.dtype) @ self.right.T @ self.left.T

    def times_left(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch inputs"]:
        return outputs.to(self.left.dtype) @ self.left @ self.right

    def factors(self) -> tuple[Float[Tensor, "outputs rank"], Float[Tensor, "rank inputs"]]:
        return self.left, self.right

    def in_memory(self) -> Delta:
        return self

    def norm(self) -> float:
        return float(torch.linalg.vector_norm(self._core()))

    def singular_values(self) -> Float[Tensor, " rank"]:
        """Singular values by QR of both factors and the SVD of a small core: O((outputs + inputs) rank^2)."""
        values = torch.linalg.svdvals(self._core())
        missing = min(self.shape) - len(values)
        return torch.cat([values, values.new_zeros(missing)]) if missing > 0 else values[: min(self.shape)]

    def to(self, device: torch.device | str) -> Delta:
        return LowRank(self.left.to(device), self.right.to(device))

    def _core(self) -> Float[Tensor, "p q"]:
        # left @ right = Q1 (R1 R2^T) Q2^T with Q1, Q2 orthonormal: the core holds all singular values but zeros.
        core: Tensor = torch.linalg.qr(self.left, mode="r").R @ torch.linalg.qr(self.right.T, mode="r").R.T
        return core


def as_low_rank(change: Delta) -> LowRank | None:
    """A change as a product of two factors, if it is held so and its product is not the smaller of the two."""
    factors = change.factors()
    return LowRank(*factors) if factors is not None and factors[1].shape[0] <= min(change.shape) else None
