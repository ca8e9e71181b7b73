"""Changes that turn the inputs of a layer: block-diagonal rotations by the exact Cayley map, their generator kept."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta, exact


def skew(upper: Float[Tensor, "blocks pairs"]) -> Float[Tensor, "blocks width width"]:
    """Skew-symmetric blocks from their upper triangles, row by row.

    Raises:
        ValueError: If the number of entries is not ``width (width - 1) / 2`` for any width.
    """
    pairs = upper.shape[-1]
    width = (1 + math.isqrt(1 + 8 * pairs)) // 2
    if width * (width - 1) // 2 != pairs:
        raise ValueError(f"{pairs} entries fill no upper triangle")
    rows, columns = torch.triu_indices(width, width, 1, device=upper.device)
    blocks = upper.new_zeros(upper.shape[0], width, width)
    blocks[:, rows, columns] = upper
    return blocks - blocks.transpose(-2, -1)


def cayley(generator: Float[Tensor, "blocks width width"]) -> Float[Tensor, "blocks width width"]:
    """The rotation ``(I + Q)(I - Q)^-1`` of each skew block Q: exactly orthogonal for every Q."""
    identity = torch.eye(generator.shape[-1], dtype=generator.dtype, device=generator.device)
    # Q commutes with itself, so the inverse may stand on either side.
    rotation: Tensor = torch.linalg.solve(identity - generator, identity + generator)
    return rotation


def orthogonality_defect(rotation: Float[Tensor, "blocks width width"]) -> float:
    """``||R^T R - I||_F / sqrt(width)``, the largest over blocks: 0 for a rotation, of order 1 for none."""
    width = rotation.shape[-1]
    identity = torch.eye(width, dtype=rotation.dtype, device=rotation.device)
    residual = rotation.transpose(-2, -1) @ rotation - identity
    return float(torch.linalg.matrix_norm(residual).max()) / math.sqrt(width)


class Rotation(Delta):
    """The change ``W (blockdiag(R) - I)`` with ``R = cayley(generator)``: orthogonal fine-tuning of the inputs.

    The tuned weight ``W R`` has the singular values of ``W``.

    Args:
        weight: The weight that is turned, outputs by inputs.
        generator: Skew-symmetric blocks; their widths add up to the number of inputs.

    Where the two differ in precision, both are held in the wider.
    """

    def __init__(self, weight: Float[Tensor, "outputs inputs"], generator: Float[Tensor, "blocks width width"]) -> None:
        blocks, width, _ = generator.shape
        if blocks * width != weight.shape[1]:
            raise ValueError(f"{blocks} blocks of width {width} do not fill {weight.shape[1]} inputs")
        weight, generator = exact(weight.detach()), exact(generator.detach())
        wider = torch.promote_types(weight.dtype, generator.dtype)
        self.weight, self.generator = weight.to(wider), generator.to(wider)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.weight.shape)

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def rotation(self) -> Float[Tensor, "blocks width width"]:
        """The rotation of each block of inputs."""
        return cayley(self.generator)

    def turned(self, share: float) -> Rotation:
        """The change whose generator is ``share`` times this one: a point of the curve on which W only turns."""
        return Rotation(self.weight, share * self.generator)

    def dense(self) -> Tensor:
        return self._blockwise(self.weight, self._motion())

    def times(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        return self.displace(inputs.to(self.weight.dtype)) @ self.weight.T

    def times_left(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch inputs"]:
        return self._blockwise(outputs.to(self.weight.dtype) @ self.weight, self._motion())

    def displace(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch inputs"]:
        """How far the inputs of the layer are moved, ``(R - I) x`` for each x: no cancellation for small turns."""
        return self._blockwise(inputs.to(self.generator.dtype), self._motion().transpose(-2, -1))

    def turn_rows(self, rows: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch inputs"]:
        """Rows as they stand after the turn, ``rows @ blockdiag(R)``: what becomes of W, and of its right vectors."""
        # A rotation in the rows' own precision keeps orthonormal rows orthonormal to that precision.
        return self._blockwise(rows, cayley(self.generator.to(rows.dtype)))

    def in_memory(self) -> Delta:
        return self

    def to(self, device: torch.device | str) -> Delta:
        return Rotation(self.weight.to(device), self.generator.to(device))

    def _motion(self) -> Float[Tensor, "blocks width width"]:
        # R - I = 2 Q (I - Q)^-1, without the cancellation of subtracting I from R.
        identity = torch.eye(self.generator.shape[-1], dtype=self.generator.dtype, device=self.generator.device)
        motion: Tensor = torch.linalg.solve(identity - self.generator, 2 * self.generator)
        return motion

    @staticmethod
    def _blockwise(rows: Float[Tensor, "*batch inputs"], blocks: Float[Tensor, "blocks width width"]) -> Tensor:
        split = rows.reshape(*rows.shape[:-1], blocks.shape[0], blocks.shape[1])
        return torch.einsum("...kw,kwv->...kv", split, blocks).flatten(-2)
