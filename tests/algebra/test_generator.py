"""What follows from the eigenvalues of a generator is what the matrices themselves say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from twins import skewed

from holdfast.algebra.generator import (
    Clock,
    angles_rad,
    clocked,
    clocked_sizes,
    eigen_sizes,
    geodesic,
    neumann,
    rms_angle_rad,
    series_defect,
    step_norm,
    stretches,
)
from holdfast.algebra.rotation import cayley, orthogonality_defect
from holdfast.core.errors import NotMeasurable

CLOCKS: tuple[Clock, ...] = ("linear", "sqrt", "geodesic")
WIDTHS = st.integers(1, 7)
SCALES = st.sampled_from((1e-6, 0.02, 0.2, 1.0, 5.0))
SEEDS = st.integers(0, 1000)


def identity(width: int) -> Tensor:
    return torch.eye(width, dtype=torch.float64)


def turns(rotation: Tensor) -> list[float]:
    """Angles of a rotation from its own eigenvalues, ascending."""
    return sorted(abs(float(np.angle(value))) for value in np.linalg.eigvals(rotation.numpy()))


@given(WIDTHS, st.integers(2, 9), SCALES, SEEDS)
def test_the_series_is_the_sum_of_its_powers_and_the_exact_map_with_lengths_lost(
    width: int, terms: int, scale: float, seed: int
) -> None:
    (generator,) = whole = skewed(1, width, scale, seed)
    powers = [torch.linalg.matrix_power(generator, power) for power in range(terms)]
    wanted = powers[0] + 2 * sum(powers[1:-1], torch.zeros_like(generator)) + powers[-1]
    size = float(wanted.abs().max())
    torch.testing.assert_close(neumann(whole, terms)[0], wanted, rtol=0, atol=1e-12 * size)
    shrunk = cayley(whole)[0] @ (powers[0] - powers[-1])
    largest = max(1.0, float(powers[-1].abs().max()))
    torch.testing.assert_close(neumann(whole, terms)[0], shrunk, rtol=0, atol=1e-12 * largest)


def test_the_five_terms_are_those_that_peft_sums() -> None:
    generator = skewed(3, 6, 0.2)
    square = generator @ generator
    wanted = identity(6) + 2 * generator + 2 * square + 2 * square @ generator + square @ square
    torch.testing.assert_close(neumann(generator), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("terms", [1, 0, -1])
def test_a_series_of_less_than_two_terms_is_refused(terms: int) -> None:
    for asked in (neumann, series_defect, stretches, lambda q, k: step_norm(q[0], k)):
        with pytest.raises(ValueError, match=f"a Cayley series of {terms} terms: it has at least two, I and Q"):
            asked(skewed(1, 4), terms)


@given(WIDTHS, SCALES, SEEDS)
def test_sizes_are_those_of_the_imaginary_eigenvalues_and_come_in_pairs(width: int, scale: float, seed: int) -> None:
    generator = skewed(2, width, scale, seed)
    for sizes, block in zip(eigen_sizes(generator), generator, strict=True):
        wanted = np.sort(np.abs(np.linalg.eigvals(block.numpy()).imag))[::-1]
        np.testing.assert_allclose(sizes.numpy(), wanted, atol=1e-12 * scale)
        pairs = sizes[: width // 2 * 2]
        torch.testing.assert_close(pairs[::2], pairs[1::2], rtol=0, atol=1e-12 * scale)
        if width % 2:
            assert float(sizes[-1]) < 1e-14 * max(1, scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sizes_of_less_precise_generators_are_those_of_their_very_values(dtype: torch.dtype) -> None:
    generator = skewed(2, 5, dtype=dtype)
    assert eigen_sizes(generator).dtype == torch.float64
    assert torch.equal(eigen_sizes(generator), eigen_sizes(generator.double()))


@given(WIDTHS, SCALES, SEEDS)
def test_angles_are_those_of_the_rotation(width: int, scale: float, seed: int) -> None:
    generator = skewed(1, width, scale, seed)
    found = angles_rad(eigen_sizes(generator)[0])
    np.testing.assert_allclose(sorted(found.tolist()), turns(cayley(generator)[0]), atol=1e-9)


def test_the_strength_is_the_rms_of_angles_over_all_blocks() -> None:
    sizes = torch.tensor([[1.0, 1.0, 0.0], [math.tan(0.1), math.tan(0.1), 0.0]], dtype=torch.float64)
    # Tangents of 45 degrees and of 0.1 rad: the angles are twice as large.
    wanted = math.sqrt((2 * (math.pi / 2) ** 2 + 2 * 0.2**2) / 6)
    assert rms_angle_rad(sizes) == pytest.approx(wanted, rel=1e-14)
    with pytest.raises(NotMeasurable) as caught:
        rms_angle_rad(torch.zeros(2, 0))
    assert str(caught.value) == "the strength of a rotation of no dimension: it has no angle"


@given(WIDTHS, st.integers(2, 9), st.sampled_from((0.01, 0.2, 1.0, 3.0)), SEEDS)
def test_stretches_are_the_singular_values_of_the_series(width: int, terms: int, scale: float, seed: int) -> None:
    generator = skewed(2, width, scale, seed)
    found = stretches(eigen_sizes(generator), terms).sort(-1, descending=True).values
    wanted = torch.linalg.svdvals(neumann(generator, terms))
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)
    if terms == 5:
        by_hand = (1 - eigen_sizes(generator) ** 4).abs().sort(-1, descending=True).values
        torch.testing.assert_close(wanted, by_hand, rtol=1e-6, atol=1e-8)


@given(WIDTHS, st.integers(2, 9), st.sampled_from((0.05, 0.2, 1.0, 3.0)), SEEDS)
def test_the_defect_from_sizes_is_that_of_the_matrix(width: int, terms: int, scale: float, seed: int) -> None:
    generator = skewed(3, width, scale, seed)
    found = series_defect(eigen_sizes(generator), terms)
    for defect, block in zip(found.tolist(), neumann(generator, terms), strict=True):
        assert defect == pytest.approx(orthogonality_defect(block[None]), rel=1e-7, abs=1e-13)


def test_the_defect_of_a_tiny_generator_is_no_rounding_noise() -> None:
    # 1 - q^4 is 1 in float64 at q = 1e-5; the excess itself is -2e-20.
    assert series_defect(torch.full((1, 2), 1e-5, dtype=torch.float64)).tolist() == pytest.approx([2e-20], rel=1e-9)


@given(WIDTHS, st.sampled_from((None, 2, 3, 4, 5, 8)), SCALES, SEEDS)
def test_the_step_is_the_distance_from_the_identity(width: int, terms: int | None, scale: float, seed: int) -> None:
    generator = skewed(3, width, scale, seed)
    rotation = cayley(generator) if terms is None else neumann(generator, terms)
    wanted = float(torch.linalg.vector_norm(rotation - identity(width)))
    sizes = eigen_sizes(generator)
    assert step_norm(sizes, terms) == pytest.approx(wanted, rel=1e-8, abs=1e-12)
    if terms is None:
        by_hand = float((4 * sizes**2 / (1 + sizes**2)).sum().sqrt())
        assert step_norm(sizes) == pytest.approx(by_hand, rel=1e-12, abs=1e-18)


def test_a_step_of_nothing_is_0() -> None:
    assert step_norm(torch.zeros(2, 3)) == step_norm(torch.zeros(2, 3), 5) == step_norm(torch.zeros(0)) == 0


@given(WIDTHS, SCALES, SEEDS, st.floats(0, 1))
def test_the_geodesic_multiplies_every_angle(width: int, scale: float, seed: int, t: float) -> None:
    generator = skewed(2, width, scale, seed)
    found = geodesic(generator, t)
    assert torch.equal(found, -found.mT)
    sizes = eigen_sizes(generator)
    torch.testing.assert_close(angles_rad(eigen_sizes(found)), t * angles_rad(sizes), rtol=0, atol=1e-10)
    torch.testing.assert_close(angles_rad(clocked_sizes(sizes, t, "geodesic")), t * angles_rad(sizes))
    for block, whole in zip(cayley(found), cayley(generator), strict=True):
        wanted = scipy.linalg.expm(t * scipy.linalg.logm(whole.numpy()).real)
        np.testing.assert_allclose(block.numpy(), wanted, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 0.3, 1.0, 40.0])
def test_half_the_geodesic_twice_is_the_whole_rotation(scale: float) -> None:
    generator = skewed(3, 8, scale)
    half = cayley(geodesic(generator, 0.5))
    torch.testing.assert_close(half @ half, cayley(generator), rtol=0, atol=1e-10)


@pytest.mark.parametrize("q", [0.3, 1.0, 1.0000001, 20.0])
def test_the_geodesic_of_the_plane_passes_q_of_1_without_a_kink(q: float) -> None:
    generator = torch.tensor([[[0.0, q], [-q, 0.0]]], dtype=torch.float64)
    for t in (0.0, 0.1, 0.7, 1.0):
        assert float(geodesic(generator, t)[0, 0, 1]) == pytest.approx(math.tan(t * math.atan(q)), rel=1e-12)


def test_a_geodesic_beyond_half_a_turn_is_refused() -> None:
    generator = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])
    assert float(geodesic(generator, 1.9)[0, 0, 1]) > 10
    for t in (2.0, -2.0):
        with pytest.raises(NotMeasurable) as caught:
            geodesic(generator, t)
        assert str(caught.value) == (
            f"{t:g} times the rotation: its largest angle of 1.57 rad would reach half a turn, which no generator "
            "makes; ask for a smaller share"
        )


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("width", [1, 2, 5])
def test_clocks_run_from_nothing_to_the_whole_and_their_sizes_with_them(clock: Clock, width: int) -> None:
    generator = skewed(2, width, 0.4)
    assert not clocked(generator, 0.0, clock).any()
    torch.testing.assert_close(clocked(generator, 1.0, clock), generator, rtol=0, atol=1e-14)
    for t in (0.1, 0.5, 0.9):
        found = clocked(generator, t, clock)
        sizes = clocked_sizes(eigen_sizes(generator), t, clock)
        torch.testing.assert_close(eigen_sizes(found), sizes, rtol=0, atol=1e-13)
        if clock != "geodesic":
            torch.testing.assert_close(found, (t if clock == "linear" else math.sqrt(t)) * generator)


@pytest.mark.parametrize("clock", CLOCKS)
def test_half_precision_is_worked_out_in_float32_and_none_is_added(clock: Clock) -> None:
    generator = skewed(1, 4, 0.1, dtype=torch.bfloat16)
    found = clocked(generator, 0.5, clock)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), clocked(generator.double(), 0.5, clock), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_point_before_the_base_is_refused(clock: Clock) -> None:
    for asked in (lambda: clocked(skewed(1, 4), -0.1, clock), lambda: clocked_sizes(torch.ones(2), -0.1, clock)):
        with pytest.raises(ValueError, match=r"a point of a path at -0\.1: it begins at 0, the base"):
            asked()


@given(SCALES, SEEDS)
def test_steps_grow_along_every_clock(scale: float, seed: int) -> None:
    sizes = eigen_sizes(skewed(2, 5, scale, seed))
    for clock in CLOCKS:
        steps = [step_norm(clocked_sizes(sizes, t / 10, clock)) for t in range(11)]
        assert steps == sorted(steps) and steps[0] == 0 < steps[-1]
