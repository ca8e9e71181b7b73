"""How well two sets of rows fall on each other when one of them is turned as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.moments import Moments

TIE = 1e-9
"""Share of the cross moment's norm that the identity is given where the data say nothing."""


@dataclass(frozen=True)
class Alignment:
    """Two sets of rows, each about its mean, and what the best rotation (reflections included) does for them.

    Residuals are shares of the norm before the change: they depend on which side is which, and are smaller the wider
    the rows are for their number, however unrelated the two sides. `shape_distance` is symmetric and blind to scale.
    Sources: PEFT-Arena (arXiv 2605.28819) for the residuals, Williams et al. (arXiv 2110.14739) for the distance.

    Attributes:
        before: Norm of the centred rows before the change.
        after: The same after.
        apart: Norm of their difference.
        turned: By how much turning the rows after raises their inner product with those before: 0 or more.
    """

    before: float
    after: float
    apart: float
    turned: float

    @property
    def raw_residual(self) -> float:
        """Norm of the difference, nothing turned, as a share of the norm before."""
        return self.apart / self.before

    @property
    def residual(self) -> float:
        """Norm of the difference after the best rotation, as a share of the norm before; no larger than the raw one."""
        return math.sqrt(self._left()) / self.before

    @property
    def improvement(self) -> float:
        """How much of the raw residual the best rotation takes away."""
        return self.raw_residual - self.residual

    @property
    def shape_distance(self) -> float:
        """Distance of the two sets, each scaled to norm 1, after the best rotation: 0 to the square root of 2."""
        # sqrt(2 - 2 nuclear / (before after)), written so that nothing cancels where the two are the same.
        return math.sqrt(max(0.0, self._left() - (self.before - self.after) ** 2) / (self.before * self.after))

    @property
    def scaled_residual(self) -> float:
        """Norm of the difference after the best rotation and the best scale, as a share of the norm before: 0 to 1."""
        loss = min(1.0, self.shape_distance**2 / 2)
        return math.sqrt(loss * (2 - loss))

    @property
    def scaled_improvement(self) -> float:
        """How much of the raw residual the best rotation and the best scale take away."""
        return self.raw_residual - self.scaled_residual

    @property
    def best_scale(self) -> float:
        """The factor that, after the best rotation, brings the rows after nearest to those before."""
        return (1 - self.shape_distance**2 / 2) * self.before / self.after

    def _left(self) -> float:
        return max(0.0, self.apart**2 - 2 * self.turned)


def align(moments: Moments) -> Alignment:
    """The alignment of rows before and after a change, by one decomposition of their cross moment: O(width^3).

    ``min over R of |X1 R - X0|^2 = |X1 - X0|^2 - 2 (nuclear norm of X0^T X1 - trace of X0^T X1)``.

    Raises:
        NotMeasurable: If there are fewer than two rows, or rows that do not vary.
    """
    before, after = moments.spread()
    nuclear = float(torch.linalg.svdvals(moments.cross).sum())
    return Alignment(
        before=math.sqrt(before),
        after=math.sqrt(after),
        apart=math.sqrt(float(moments.gap)),
        turned=max(0.0, nuclear - float(moments.cross.trace())),
    )


def best_rotation(moments: Moments) -> Float[Tensor, "width width"]:
    """The orthogonal matrix R for which ``X1 R`` lies nearest to ``X0``; it leaves alone what the rows leave open.

    Raises:
        NotMeasurable: If there are fewer than two rows, or rows that do not vary.
    """
    moments.spread()
    open_ended = TIE * torch.linalg.matrix_norm(moments.cross)
    identity = torch.eye(moments.width, dtype=moments.cross.dtype, device=moments.cross.device)
    left, _, right = torch.linalg.svd(moments.cross.T + open_ended * identity)
    rotation: Tensor = left @ right
    return rotation


def held_out_residual(fitted: Moments, tested: Moments) -> float:
    """Residual of rows after a rotation that was fitted on other rows, as a share of their norm before.

    Unlike the residual on the rows of the fit it does not shrink with their width: a rotation that means nothing
    leaves about the square root of 2 (for rows of equal norm), as no rotation does. Each side is about its own mean.

    Raises:
        NotMeasurable: If either has fewer than two rows, or rows that do not vary.
    """
    rotation = best_rotation(fitted)
    before, _ = tested.spread()
    turned = float((rotation * tested.cross.T).sum()) - float(tested.cross.trace())
    return math.sqrt(max(0.0, float(tested.gap) - 2 * turned) / before)
