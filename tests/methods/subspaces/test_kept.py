"""A kept space is what a dense projector says it is, whichever half of it is stored."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from holdfast.core.errors import NotMeasurable
from holdfast.methods.subspaces.kept import KeptSpace


def moment(seed: int, width: int = 12, rank: int | None = None) -> Tensor:
    """Second moment of inputs that extend less and less far in each direction."""
    draw = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(width, width, generator=draw, dtype=torch.float64)).Q
    extents = 0.6 ** torch.arange(width, dtype=torch.float64)
    extents[width if rank is None else rank :] = 0
    return axes @ torch.diag(extents) @ axes.T


def projector(space: KeptSpace) -> Tensor:
    """Onto what is kept."""
    inside = space.basis @ space.basis.T
    return torch.eye(space.width, dtype=torch.float64) - inside if space.complement else inside


def grown_densely(kept: Tensor, own: Tensor, share: float) -> Tensor:
    """One direction after the other, by the eigenvectors of what is left, until the share is reached."""
    whole = float((own**2).sum())
    start, dims = kept, 0
    off = torch.eye(len(own), dtype=torch.float64) - start
    values, vectors = torch.linalg.eigh(off @ own @ own @ off)
    while 1 - float((((torch.eye(len(own)) - kept) @ own) ** 2).sum()) / whole < share:
        dims += 1
        if values[-dims] < 1e-12 * whole:
            break
        kept = kept + torch.outer(vectors[:, -dims], vectors[:, -dims])
    return kept


@pytest.mark.parametrize("share", [0.3, 0.9, 0.98, 1.0])
def test_it_grows_as_a_dense_projector_does_task_after_task(share: float) -> None:
    space, dense = KeptSpace.nothing(12), torch.zeros(12, 12, dtype=torch.float64)
    for seed in range(4):
        own = moment(seed, rank=5 if share == 1.0 else None)
        space, dense = space.grown(own, share), grown_densely(dense, own, share)
        torch.testing.assert_close(projector(space), dense, rtol=0, atol=1e-8)
        assert space.dims == round(float(dense.trace()))
        assert space.basis.shape[1] <= 6
        torch.testing.assert_close(space.off(own), own - dense @ own, rtol=0, atol=1e-8)
        torch.testing.assert_close(
            space.basis.T @ space.basis, torch.eye(space.basis.shape[1], dtype=torch.float64), rtol=0, atol=1e-9
        )
    assert space.complement == (space.dims > 6)


def test_what_is_kept_stays_kept() -> None:
    space = KeptSpace.nothing(12)
    for seed in range(5):
        grown = space.grown(moment(seed), 0.95)
        torch.testing.assert_close(projector(grown) @ projector(space), projector(space), rtol=0, atol=1e-8)
        space = grown


def test_the_same_inputs_again_add_nothing() -> None:
    space = KeptSpace.nothing(12).grown(moment(1), 0.95)
    assert space.grown(moment(1), 0.95).dims == space.dims
    full = KeptSpace.nothing(12).grown(moment(1, rank=4), 1.0)
    assert full.dims == 4 and full.grown(moment(1, rank=4), 1.0).dims == 4


def test_free_directions_are_the_leading_ones_of_what_is_left() -> None:
    space = KeptSpace.nothing(12).grown(moment(1), 0.9)
    found = space.free_directions(moment(2), 3)
    off = torch.eye(12, dtype=torch.float64) - projector(space)
    left = torch.linalg.eigh(off @ moment(2) @ moment(2) @ off).eigenvectors[:, -3:].flip(1)
    torch.testing.assert_close((found.T @ left).abs(), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-6)
    assert float((projector(space) @ found).abs().max()) < 1e-10


def test_directions_without_inputs_are_not_given() -> None:
    assert KeptSpace.nothing(12).free_directions(moment(1, rank=2), 4).shape == (12, 2)
    kept = KeptSpace.nothing(12).grown(moment(1, rank=2), 1.0)
    assert kept.free_directions(moment(1, rank=2), 4).shape == (12, 0)


def test_a_space_may_be_full() -> None:
    space = KeptSpace.nothing(3).grown(torch.eye(3, dtype=torch.float64), 1.0)
    assert space.dims == 3 and space.complement and space.basis.shape == (3, 0)
    assert float(space.off(torch.ones(3, 1, dtype=torch.float64)).abs().max()) == 0
    assert space.grown(torch.eye(3, dtype=torch.float64), 1.0).dims == 3
    assert KeptSpace.of(space.basis.float(), complement=True).dims == 3


def test_a_basis_that_was_stored_in_float32_is_orthonormal_again() -> None:
    space = KeptSpace.nothing(12).grown(moment(1), 0.9)
    again = KeptSpace.of(space.basis.float(), complement=space.complement)
    gram = again.basis.T @ again.basis
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(projector(again), projector(space), rtol=0, atol=1e-6)


def test_inputs_that_are_all_0_have_no_space() -> None:
    with pytest.raises(NotMeasurable, match="inputs that are all 0 is undefined"):
        KeptSpace.nothing(3).grown(torch.zeros(3, 3), 0.9)
