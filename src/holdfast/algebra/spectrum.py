"""The singular directions of a weight, worked out once and asked about every update of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import exact
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable

Side = Literal["left", "right"]
"""Directions of the outputs, or of the inputs."""

TIE: Final = 1e-6
"""Singular values closer than this, as a share of the largest, have no directions of their own."""

SAME_WEIGHT: Final = 1e-4
"""How far a weight may be from what a spectrum says of it; rounding in float32 is a hundredth of that."""

BLOCK_ROWS: Final = 64
"""Rows that are taken through several products before the next are fetched: few enough to stay in a core's cache."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The thin singular value decomposition ``left @ diag(values) @ right.T`` of a weight, or its leading part.

    Attributes:
        left: Directions of the outputs, one a column.
        values: Singular values, descending.
        right: Directions of the inputs, one a column.
    """

    left: Float[Tensor, "outputs k"]
    values: Float[Tensor, " k"]
    right: Float[Tensor, "inputs k"]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weight, outputs by inputs."""
        return self.left.shape[0], self.right.shape[0]

    @property
    def is_complete(self) -> bool:
        """Whether all singular values are here, and not only the leading ones."""
        return len(self.values) == min(self.shape)

    @property
    def rank(self) -> int:
        """How many values lie above a millionth of the largest; directions beyond that are arbitrary."""
        return int((self.values > TIE * self.values[:1]).sum())

    def directions(self, side: Side) -> Float[Tensor, "width k"]:
        """Directions of the outputs (``left``) or of the inputs (``right``), one a column."""
        return self.left if side == "left" else self.right

    def top(self, count: int) -> Spectrum:
        """The ``count`` leading directions."""
        return Spectrum(self.left[:, :count], self.values[:count], self.right[:, :count])

    def ties(self) -> tuple[range, ...]:
        """Runs of two or more values, above those of `rank`, in which neighbours differ by a millionth of the largest.

        Within a run any turn of the directions is as good, and which one a decomposition returns is chance. Gaps are
        counted in the largest value, not in their own, since that is what rounding errors are proportional to.
        """
        count = self.rank
        gaps = -self.values[:count].diff() > TIE * self.values[:1]
        edges = [0, *(gaps.nonzero()[:, 0] + 1).tolist(), count]
        return tuple(range(first, last) for first, last in pairwise(edges) if last - first > 1)

    def is_of(self, weight: Float[Tensor, "outputs inputs"]) -> bool:
        """Whether the weight has these singular directions: two products with it, where a decomposition takes many.

        Each side is tried on one random mixture of all directions, so another weight passes with probability 0, and
        one that is nearer than 1e-4 does not count as another.
        """
        if tuple(weight.shape) != self.shape:
            return False
        mixture = torch.randn(len(self.values), generator=torch.Generator().manual_seed(0)).to(self.values)
        weighed = self.values * mixture
        read, seen = _mixed(self.right, mixture, weighed)
        written, said = _mixed(self.left, mixture, weighed)
        outputs, inputs = _through(weight, read, written)
        apart = max(_distance(outputs, said), _distance(inputs, seen))
        return apart <= SAME_WEIGHT * float(weighed.norm())


def spectrum_of(weight: Float[Tensor, "outputs inputs"]) -> Spectrum:
    """The spectrum of a weight, in float32, or in float64 where the weight is. Cost: a full decomposition.

    Raises:
        NotMeasurable: If the weight is not a matrix, has no entries, or has entries that are not finite.
    """
    if weight.dim() != 2 or not weight.numel():
        raise NotMeasurable(f"spectrum of a weight of shape {tuple(weight.shape)}: defined for matrices with entries")
    weight = exact(weight.detach())
    check_finite(weight)
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    return Spectrum(left, values, right.mT)


def check_finite(weight: Float[Tensor, "outputs inputs"]) -> None:
    """Refuse a matrix with infinite or undefined entries, before one of them spreads through everything.

    Raises:
        NotMeasurable: If there are any; says how many and where the first is.
    """
    odd = ~torch.isfinite(weight)
    if bool(odd.any()):
        row, column = odd.nonzero()[0].tolist()
        raise NotMeasurable(
            f"spectrum of a weight of shape {tuple(weight.shape)}: {int(odd.sum())} of its entries are not finite, "
            f"the first at row {row}, column {column}; take a checkpoint from before training diverged, or read the "
            "file again"
        )


def check_comparable(base: Spectrum, tuned: Spectrum) -> None:
    """Refuse to compare spectra of weights of different shapes.

    Raises:
        IncompatibleUpdate: If they are.
    """
    if base.shape != tuned.shape:
        raise IncompatibleUpdate(
            f"the spectra are of weights of shapes {base.shape} and {tuned.shape}: compare one weight before and after"
        )


def check_complete(spectrum: Spectrum, quantity: str) -> None:
    """Refuse a quantity that takes all singular values where only the leading ones are known.

    Raises:
        NotMeasurable: If only those are.
    """
    if not spectrum.is_complete:
        raise NotMeasurable(
            f"{quantity} takes all {min(spectrum.shape)} singular values of a weight of shape {spectrum.shape}, and "
            f"{len(spectrum.values)} are known: take its whole spectrum"
        )


def _mixed(directions: Float[Tensor, "width k"], *mixtures: Float[Tensor, " k"]) -> list[Float[Tensor, " width"]]:
    """Several mixtures of the directions, which are fetched from memory once for all of them."""
    blocks = [[block @ mixture for mixture in mixtures] for block in torch.split(directions, BLOCK_ROWS)]
    return [torch.cat(parts) for parts in zip(*blocks, strict=True)]


def _through(
    weight: Float[Tensor, "outputs inputs"], inputs: Float[Tensor, " inputs"], outputs: Float[Tensor, " outputs"]
) -> tuple[Float[Tensor, " outputs"], Float[Tensor, " inputs"]]:
    """``weight @ inputs`` and ``outputs @ weight``, without a copy of the whole weight in another precision."""
    dtype = exact(weight[:0]).dtype
    inputs, outputs = inputs.to(dtype), outputs.to(dtype)
    # Blocks are widened in one and the same place: to fetch new memory for each takes longer than the products.
    room = weight.new_empty(min(BLOCK_ROWS, len(weight)), weight.shape[1], dtype=dtype)
    forth, back = [], torch.zeros_like(inputs)
    for block, part in zip(torch.split(weight, BLOCK_ROWS), torch.split(outputs, BLOCK_ROWS), strict=True):
        wide = block if block.dtype == dtype else room[: len(block)].copy_(block)
        forth.append(wide @ inputs)
        back += part @ wide
    return torch.cat(forth), back


def _distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted.double()).norm())
