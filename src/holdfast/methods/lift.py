"""LIFT: only principal weights are trained, the largest entries of what a low rank keeps of every matrix."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.algebra.ranks import local, start_of
from holdfast.algebra.selection import top
from holdfast.methods.isolation.eligible import Eligible, inner_matrices
from holdfast.methods.isolation.method import Isolating
from holdfast.methods.isolation.moments import Moments
from holdfast.methods.isolation.options import literal, steps_between, wrong_interval, wrong_trained_share
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene


@dataclass(frozen=True)
class Lift(Isolating):
    """Train the entries of every matrix that are largest in its best approximation of a low rank, chosen anew at times.

    LIFT (Liu et al., ICML 2025, arXiv 2506.00772). All else that could be trained is held: embeddings, head, norms,
    biases. Published level: a sparse Adam, which masks updates. It keeps moments of scalars that are chosen again and
    starts newcomers at zero, as here. Deviations: its count is ``rank * (rows + columns)`` of every matrix and its
    interval 200 or 400 steps; we keep Adam's moments of all scalars of a matrix, so that no memory is saved; the
    approximation is exact and never drawn at random (its code offers ``svd_lowrank`` too). Each choice costs an
    eigendecomposition of the smaller Gram matrix of every matrix, in float64.

    Of an adapter every factor is a matrix of its own, which is not what the paper trains. One that is all zero, as
    LoRA's B is at first, has no largest entries: the first ones are trained until the next choice.

    Attributes:
        ratio: Share of every matrix that is trained, above 0; exact, rounded down.
        rank: Of the approximation; a matrix of no higher rank is taken as it is, that is, by its largest entries.
        interval: Steps from one choice to the next; by default a twentieth of the training, but at least 10.
        eligible: ``all`` is the published form; with ``matrices`` everything outside of them is trained whole.
    """

    name: ClassVar[str] = "lift"

    ratio: float = 0.05
    rank: int = 128
    interval: float | None = None
    eligible: Eligible = "all"

    def rule(self, steps: int | None) -> Rule:
        return PrincipalWeights(Schedule(0, steps_between(self, self.interval, steps)), self.ratio, self.rank)

    @property
    def moments_of_held(self) -> Moments:
        return "reset_on_release"

    def spec(self) -> str:
        return literal(super().spec())

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *self._faults())

    def _faults(self) -> Iterator[str]:
        yield from wrong_trained_share(self)
        yield from wrong_interval(self)


class PrincipalWeights(Rule):
    """Trains the largest entries of the low-rank approximation of every matrix, and holds everything else.

    Args:
        schedule: When they are chosen.
        ratio: Share of every matrix that is trained.
        rank: Of the approximation.
    """

    def __init__(self, schedule: Schedule, ratio: float, rank: int) -> None:
        super().__init__(schedule)
        self._ratio, self._rank = ratio, rank
        self._blank = 0

    def withheld(self, scene: Scene) -> Collection[str]:
        return set(scene.tensors) - inner_matrices(scene.model, scene.tensors)

    def choose(self, scene: Scene) -> Mask:
        outside = self.withheld(scene)
        return Mask({name: self._held(name, scene, whole=name in outside) for name in scene.tensors})

    def notes(self) -> tuple[str, ...]:
        blank = f"{self._blank} tensors were all zero at a choice: of these the first entries were trained"
        return (blank,) if self._blank else ()

    def state(self) -> dict[str, Tensor]:
        return {"blank": torch.tensor(self._blank)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._blank = int(state["blank"])

    def _held(self, name: str, scene: Scene, *, whole: bool) -> Bits:
        part = scene.part(name)
        if whole:
            return Bits.all(part.shape, device=part.device)
        # One tensor after the other: nothing of an approximation is kept, and none is made twice.
        score = _size_at_rank(scene.tensors[name], self._rank)
        self._blank += int(not float(scene.ranks.most(score.sum())))
        trained = top({name: score}, self._ratio, calibration="none", each="tensor", ranks=scene.ranks)
        return ~trained[name]


def nearest_of_rank(matrix: Float[Tensor, "*stack rows columns"], rank: int) -> Float[Tensor, "*stack rows columns"]:
    """The matrix of at most a rank that is nearest in Frobenius norm (Eckart and Young), in float32.

    It is the projection onto the leading eigenvectors of the smaller Gram matrix, in float64, which squares the spread
    of singular values: what float32 holds of them survives. Where values next to the cut are equal it is not unique.
    """
    if rank >= min(matrix.shape[-2:]):
        return matrix.float()
    exact = matrix.double()
    tall = exact.shape[-2] > exact.shape[-1]
    wide = exact.mT if tall else exact
    leading = torch.linalg.eigh(wide @ wide.mT).eigenvectors[..., -rank:]
    near: Tensor = leading @ (leading.mT @ wide)
    return (near.mT if tall else near).float()


def _size_at_rank(tensor: nn.Parameter, rank: int) -> Tensor:
    """The size of all entries of a tensor at a rank, of the part held here; a vector has no rank and stays as it is."""
    kept: Tensor = tensor.data
    whole: Tensor = kept.full_tensor() if isinstance(kept, DTensor) else kept
    size = (whole.float() if whole.ndim < 2 else nearest_of_rank(whole, rank)).abs()
    part, start = local(tensor), start_of(tensor)
    return size.reshape(-1)[start : start + part.numel()].view(part.shape)
