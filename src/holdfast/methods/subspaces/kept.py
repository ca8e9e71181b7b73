"""The part of a layer's input space that later trainings keep off: grown task by task, stored as the smaller half."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.core.errors import NotMeasurable

NOTHING_FRAC = 1e-6
"""Directions in which inputs have less than this share of their largest extent count as not read at all."""


@dataclass(frozen=True, eq=False)
class KeptSpace:
    """A subspace of the inputs of a layer, by an orthonormal basis of it or of what it leaves free.

    Attributes:
        basis: Orthonormal columns, float64.
        complement: Whether they span what is free, and not what is kept.
    """

    basis: Float[Tensor, "inputs dims"]
    complement: bool = False

    @classmethod
    def nothing(cls, width: int, device: torch.device | str = "cpu") -> KeptSpace:
        """No direction of so many."""
        return cls(torch.zeros(width, 0, dtype=torch.float64, device=device))

    @classmethod
    def of(cls, basis: Float[Tensor, "inputs dims"], *, complement: bool) -> KeptSpace:
        """A space by a basis that was stored in another precision: made orthonormal again."""
        return cls(torch.linalg.qr(basis.double()).Q, complement)

    @property
    def width(self) -> int:
        """How many inputs there are."""
        return self.basis.shape[0]

    @property
    def dims(self) -> int:
        """Dimensions that are kept."""
        return self.width - self.basis.shape[1] if self.complement else self.basis.shape[1]

    def off(self, columns: Float[Tensor, "inputs columns"]) -> Float[Tensor, "inputs columns"]:
        """What is left of some inputs without their part in this space."""
        inside = self.basis @ (self.basis.T @ columns)
        return inside if self.complement else columns - inside

    def free_directions(self, moment: Float[Tensor, "inputs inputs"], count: int) -> Float[Tensor, "inputs found"]:
        """The free directions in which inputs extend furthest, by their second moment; orthonormal.

        Fewer than asked for where inputs do not extend into as many.
        """
        left, values = self._left(moment)
        return left[:, : min(count, len(values))]

    def grown(self, moment: Float[Tensor, "inputs inputs"], threshold_frac: float) -> KeptSpace:
        """This space and the fewest directions that together hold a share of some inputs.

        The share is that of the squared Frobenius norm of their second moment ``C``: ``1 - |P C|^2 / |C|^2`` with ``P``
        the projector onto what is free. Directions are left singular vectors of ``P C``.

        Args:
            moment: Second moment of the inputs.
            threshold_frac: The share, up to 1.

        Raises:
            NotMeasurable: If all inputs are 0.
        """
        whole = float(moment.square().sum())
        if not whole > 0:
            raise NotMeasurable("the space of inputs that are all 0 is undefined: did the layer read anything?")
        left, values = self._left(moment)
        shares = values.square() / whole
        held = 1.0 - float(self.off(moment).square().sum()) / whole
        missing = held + torch.cat([shares.new_zeros(1), shares.cumsum(0)]) < threshold_frac
        return self._with(left[:, : min(int(missing.sum()), len(values))])

    def _left(self, moment: Tensor) -> tuple[Tensor, Tensor]:
        """Left singular vectors of what is free of a moment, and its singular values; those of nothing left out."""
        left, values, _ = torch.linalg.svd(self.off(moment.double()), full_matrices=False)
        # An upper bound of the largest extent, and one that costs nothing.
        some = values > NOTHING_FRAC * torch.linalg.matrix_norm(moment.double())
        return left[:, some], values[some]

    def _with(self, more: Tensor) -> KeptSpace:
        if self.complement:
            inside = self.basis.T @ more
            return KeptSpace(self.basis @ _rest(inside), complement=True)
        joined = torch.cat([self.basis, more], dim=1)
        if joined.shape[1] > self.width / 2:
            return KeptSpace(_rest(joined), complement=True)
        return KeptSpace(joined)


def _rest(columns: Float[Tensor, "inputs dims"]) -> Float[Tensor, "inputs rest"]:
    """Orthonormal columns that complete some orthonormal ones."""
    whole: Tensor = torch.linalg.qr(columns, mode="complete").Q
    return whole[:, columns.shape[1] :]
