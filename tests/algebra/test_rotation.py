"""Rotations are exact for every generator, and a turned weight keeps its singular values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from holdfast.algebra.rotation import Rotation, cayley, orthogonality_defect, skew

GENERATOR_SIZES = (1e-6, 0.1, 1.0, 30.0, 1e4)


def generators(blocks: int, width: int, size: float, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return skew(size * torch.randn(blocks, width * (width - 1) // 2, generator=draw, dtype=torch.float64))


def neumann(generator: Tensor) -> Tensor:
    """The five-term series that peft takes for the Cayley map unless it is told otherwise."""
    identity = torch.eye(generator.shape[-1], dtype=generator.dtype)
    square = generator @ generator
    return identity + 2 * generator + 2 * square + 2 * square @ generator + square @ square


@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 100))
def test_skew_fills_upper_triangles_row_by_row(width: int, blocks: int, seed: int) -> None:
    pairs = width * (width - 1) // 2
    upper = torch.randn(blocks, pairs, generator=torch.Generator().manual_seed(seed))
    found = skew(upper)
    for block, entries in zip(found, upper, strict=True):
        rest = iter(entries.tolist())
        for row in range(width):
            assert block[row, row] == 0
            for column in range(row + 1, width):
                assert block[row, column] == -block[column, row] == next(rest)


@pytest.mark.parametrize("pairs", [2, 4, 5, 7, 11])
def test_entries_that_fill_no_triangle_are_refused(pairs: int) -> None:
    with pytest.raises(ValueError, match=f"{pairs} entries fill no upper triangle"):
        skew(torch.ones(1, pairs))


@pytest.mark.parametrize("size", GENERATOR_SIZES)
def test_the_cayley_map_is_what_scipy_solves(size: float) -> None:
    found = cayley(generators(3, 6, size))
    for block, generator in zip(found, generators(3, 6, size), strict=True):
        q = generator.numpy()
        wanted = scipy.linalg.solve((np.eye(6) - q).T, (np.eye(6) + q).T).T  # (I + Q)(I - Q)^-1
        np.testing.assert_allclose(block.numpy(), wanted, atol=1e-9)


@pytest.mark.parametrize("size", GENERATOR_SIZES)
@pytest.mark.parametrize("width", [1, 2, 5, 32])
def test_rotations_are_orthogonal_for_generators_of_any_size(width: int, size: float) -> None:
    rotation = cayley(generators(2, width, size))
    assert orthogonality_defect(rotation) < 1e-11
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-9)
    assert orthogonality_defect(cayley(generators(2, width, size).float())) < 1e-6 * max(3, size)


def test_a_rotation_of_the_plane_turns_by_twice_the_arctangent() -> None:
    for q in (0.1, 0.5, 2.0):
        (rotation,) = cayley(skew(torch.tensor([[q]], dtype=torch.float64)))
        angle = 2 * np.arctan(q)
        wanted = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        np.testing.assert_allclose(rotation.numpy(), wanted, atol=1e-15)


@pytest.mark.parametrize("size", [0.02, 0.1, 0.3])
def test_the_defect_of_five_neumann_terms_is_the_rms_of_how_they_shrink(size: float) -> None:
    # R_N = C(Q)(I - Q^4), so a singular value is |1 - q^4|; the rms of |(1 - q^4)^2 - 1| is the defect.
    generator = generators(1, 8, size)
    q = np.linalg.eigvals(generator[0].numpy()).imag
    wanted = float(np.sqrt(np.mean(((1 - q**4) ** 2 - 1) ** 2)))
    assert orthogonality_defect(neumann(generator)) == pytest.approx(wanted, rel=1e-9)
    product = cayley(generator) @ (torch.eye(8, dtype=torch.float64) - torch.linalg.matrix_power(generator, 4))
    torch.testing.assert_close(neumann(generator), product)


def test_the_defect_is_that_of_the_worst_block() -> None:
    sound, shrunk = torch.eye(4, dtype=torch.float64), 0.5 * torch.eye(4, dtype=torch.float64)
    assert orthogonality_defect(torch.stack([sound, sound])) == 0
    assert orthogonality_defect(torch.stack([sound, shrunk])) == pytest.approx(0.75)


@pytest.mark.parametrize("size", GENERATOR_SIZES)
@pytest.mark.parametrize(("outputs", "blocks", "width"), [(5, 2, 4), (12, 1, 6), (3, 3, 2), (4, 5, 1)])
def test_a_turned_weight_has_the_singular_values_of_the_weight(
    outputs: int, blocks: int, width: int, size: float
) -> None:
    weight = torch.randn(outputs, blocks * width, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    change = Rotation(weight, generators(blocks, width, size))
    torch.testing.assert_close(
        torch.linalg.svdvals(weight + change.dense()), torch.linalg.svdvals(weight), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 2.0])
def test_turning_by_a_share_scales_the_generator(share: float) -> None:
    weight, generator = torch.randn(3, 8, dtype=torch.float64), generators(2, 4, 0.7)
    turned = Rotation(weight, generator).turned(share)
    torch.testing.assert_close(turned.dense(), Rotation(weight, share * generator).dense())
    assert torch.equal(turned.rotation(), cayley(share * generator))
    torch.testing.assert_close(torch.linalg.svdvals(weight + turned.dense()), torch.linalg.svdvals(weight))


def test_no_turn_is_no_change_at_all() -> None:
    weight = torch.randn(3, 8, dtype=torch.float64)
    assert not Rotation(weight, torch.zeros(2, 4, 4, dtype=torch.float64)).dense().any()
    assert not Rotation(weight, generators(2, 4, 0.7)).turned(0.0).dense().any()


def test_a_tiny_turn_does_not_cancel() -> None:
    weight, generator = torch.randn(3, 4), generators(1, 4, 1e-9).float()
    wanted = 2 * weight.double() @ generator[0].double()
    torch.testing.assert_close(Rotation(weight, generator).dense().double(), wanted, rtol=1e-5, atol=0)


def test_blocks_that_do_not_fill_the_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="2 blocks of width 4 do not fill 9 inputs"):
        Rotation(torch.ones(3, 9), torch.zeros(2, 4, 4))


@pytest.mark.parametrize("size", GENERATOR_SIZES)
def test_inputs_are_displaced_by_the_turn_less_the_identity(size: float) -> None:
    change = Rotation(torch.ones(3, 8, dtype=torch.float64), generators(2, 4, size))
    inputs = torch.randn(5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    turn = torch.block_diag(*change.rotation())
    torch.testing.assert_close(change.displace(inputs), inputs @ turn.mT - inputs)


def test_rows_are_turned_as_the_weight_is() -> None:
    weight = torch.randn(3, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    change = Rotation(weight, generators(2, 4, 0.7))
    torch.testing.assert_close(change.turn_rows(weight), weight + change.dense())


def test_orthonormal_rows_stay_so_to_their_own_precision() -> None:
    change = Rotation(torch.ones(2, 8), generators(2, 4, 3.0).float())
    turned = change.turn_rows(torch.eye(8, dtype=torch.float64))
    assert orthogonality_defect(turned[None]) < 1e-14


@pytest.mark.parametrize("kinds", [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_a_weight_and_a_generator_of_different_precision_meet_in_the_wider(
    kinds: tuple[torch.dtype, torch.dtype],
) -> None:
    draw = torch.Generator().manual_seed(1)
    weight = torch.randn(3, 8, generator=draw, dtype=torch.float64).to(kinds[0])
    generator = generators(2, 4, 0.7).to(kinds[1])
    change, wanted = Rotation(weight, generator), Rotation(weight.double(), generator.double())
    assert change.dense().dtype == torch.float64
    torch.testing.assert_close(change.dense(), wanted.dense(), rtol=0, atol=0)
    for dtype in kinds:
        inputs, outputs = torch.ones(2, 8, dtype=dtype), torch.ones(2, 3, dtype=dtype)
        torch.testing.assert_close(change.times(inputs), wanted.times(inputs.double()), rtol=0, atol=0)
        torch.testing.assert_close(change.times_left(outputs), wanted.times_left(outputs.double()), rtol=0, atol=0)
    assert orthogonality_defect(change.rotation()) < 1e-14


def test_half_precision_of_either_is_computed_with_in_single() -> None:
    weight, generator = torch.randn(3, 8), generators(2, 4, 0.7)
    assert Rotation(weight.bfloat16(), generator.float()).dense().dtype == torch.float32
    assert Rotation(weight, generator.bfloat16()).dense().dtype == torch.float32
