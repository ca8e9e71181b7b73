"""Where an update acts, seen from the singular directions of the weight it changes.

Retention and adaptation profiles are those of PEFT-Arena (arXiv 2605.28819), worked out from the change itself and not
as the difference of two products, which leaves 1e-7 where nothing changed. What a profile leaves out is measured beside
it: the thin decomposition of a wide weight spans only part of its inputs, and most of what an update does lies off the
diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta, frobenius_norm
from holdfast.algebra.low_rank import LowRank, as_low_rank
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.sparse import Sparse
from holdfast.algebra.spectrum import Spectrum
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable


@dataclass(frozen=True, eq=False)
class Profiles:
    """What a change does to each singular direction of a weight, the strongest first.

    Attributes:
        signed_retention: ``dP(i) = u_i . dW v_i``, the change of the weight's i-th diagonal entry in its own
            directions. Mean over tied directions.
        adaptation: ``E(i) = ||dW v_i||``, never below ``|dP(i)|``. Root mean square over tied directions.
        unseen_norm: Frobenius norm of the change on inputs that no ``v_i`` spans; 0 unless the weight is wide.
        ties: Runs of directions that are not unique, for which the average over all equally good choices stands.
    """

    signed_retention: Float[Tensor, " k"]
    adaptation: Float[Tensor, " k"]
    unseen_norm: float
    ties: tuple[range, ...]

    @property
    def retention(self) -> Float[Tensor, " k"]:
        """``|dP(i)|``, the retention profile."""
        return self.signed_retention.abs()

    def energy_seen_frac(self) -> float:
        """Share of the squared norm of the change that the adaptation profile covers; 1 unless the weight is wide.

        Raises:
            NotMeasurable: If the update is zero.
        """
        seen = self._seen("energy seen")
        return seen / (seen + self.unseen_norm**2)

    def diagonal_frac(self) -> float:
        """Share of the energy seen that lies on the diagonal: how much of a change the retention profile shows.

        Raises:
            NotMeasurable: If the update is zero on all directions.
        """
        seen = self._seen("diagonal share")
        if seen == 0:
            raise NotMeasurable("diagonal share: the update is zero on all singular directions of the weight")
        return float(self.signed_retention.double().square().sum()) / seen

    def _seen(self, quantity: str) -> float:
        seen = float(self.adaptation.double().square().sum())
        if seen + self.unseen_norm**2 == 0:
            raise NotMeasurable(f"{quantity} of a zero update is undefined: nothing was changed")
        return seen


def profiles_of(change: Delta, base: Spectrum) -> Profiles:
    """Retention and adaptation profiles of a change, in the precision of the base's spectrum.

    Cost: products of the change with all right directions. A change held as two factors is never multiplied out. For a
    rotation of this very weight, ``dP(i) = -s_i ||(R - I) v_i||^2 / 2``, since R keeps lengths: never positive, and
    exact for turns so small that ``u_i . dW v_i`` would be all rounding.

    Raises:
        IncompatibleUpdate: If the spectrum is of a weight of another shape.
        NotMeasurable: If the change is not finite.
    """
    if change.shape != base.shape:
        raise IncompatibleUpdate(
            f"the change has shape {change.shape}, the spectrum is that of a weight of shape {base.shape}: take the "
            "spectrum of the weight that was changed"
        )
    product = as_low_rank(change)
    if product is not None:
        retention, adaptation, unseen = _of_low_rank(product, base)
    elif isinstance(change, Rotation):
        retention, adaptation, unseen = _of_rotation(change, base)
    elif isinstance(change, Sparse):
        image = change.times(base.right.mT).mT.to(base.values)
        retention, adaptation, unseen = _of_image(image, change, base)
    else:
        dense = change.dense().to(base.values)
        retention, adaptation, unseen = _of_image(dense @ base.right, dense, base)
    if not bool(torch.isfinite(adaptation).all()):
        raise NotMeasurable(
            f"profiles of a change of shape {change.shape}: it has entries that are not finite; take a checkpoint from "
            "before training diverged"
        )
    return _averaged(retention, adaptation, unseen, base)


Parts = tuple[Float[Tensor, " k"], Float[Tensor, " k"], float]


def _of_low_rank(change: LowRank, base: Spectrum) -> Parts:
    left, right = change.left.to(base.values), change.right.to(base.values)
    seen = right @ base.right
    # The short factor stands on the left: the other way round the same product takes ten times as long.
    retention = ((left.mT @ base.left) * seen).sum(0)
    # Lengths of left @ x are those of the small triangle of its QR decomposition times x.
    triangle = torch.linalg.qr(left, mode="r").R
    adaptation = torch.linalg.vector_norm(triangle @ seen, dim=0)
    if _spans_inputs(base):
        return retention, adaptation, 0.0
    return retention, adaptation, float((triangle @ (right - seen @ base.right.mT)).norm())


def _of_rotation(change: Rotation, base: Spectrum) -> Parts:
    moved = change.displace(base.right.mT)
    image = (moved @ change.weight.mT).mT.to(base.values)
    retention, adaptation, unseen = _of_image(image, change, base)
    if base.is_of(change.weight):
        # |R v| = |v| gives v . (R - I) v = -|(R - I) v|^2 / 2.
        retention = -base.values * moved.to(base.values).square().sum(-1) / 2
    return retention, adaptation, unseen


def _of_image(image: Float[Tensor, "outputs k"], change: Delta | Tensor, base: Spectrum) -> Parts:
    retention = (base.left * image).sum(0)
    adaptation = torch.linalg.vector_norm(image, dim=0)
    if _spans_inputs(base):
        return retention, adaptation, 0.0
    dense = change if isinstance(change, Tensor) else change.dense().to(image)
    return retention, adaptation, frobenius_norm(dense - image @ base.right.mT)


def _spans_inputs(base: Spectrum) -> bool:
    return len(base.values) == base.shape[1]


def _averaged(retention: Tensor, adaptation: Tensor, unseen_norm: float, base: Spectrum) -> Profiles:
    """Averages over all choices of directions that decompose the weight equally well.

    A run of ties may be turned on both sides alike: the mean of dP and of E^2 stay. Where the weight is zero, left and
    right turn independently, and right directions mix with inputs outside the thin decomposition: dP averages to 0,
    and E^2 is spread over the whole null space.
    """
    runs, rank, count = list(base.ties()), base.rank, len(base.values)
    for run in runs:
        here = slice(run.start, run.stop)
        retention[here] = retention[here].mean()
        adaptation[here] = adaptation[here].double().square().mean().sqrt()
    if count > rank and max(base.shape) > rank + 1:
        runs.append(range(rank, count))
        free = base.shape[1] - rank
        share = (float(adaptation[rank:].double().square().sum()) + unseen_norm**2) / free
        retention[rank:], adaptation[rank:] = 0.0, share**0.5
        unseen_norm = (share * (free - (count - rank))) ** 0.5
    return Profiles(retention, adaptation, unseen_norm, tuple(runs))
