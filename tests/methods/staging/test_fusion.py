"""What several trainings have made of one tensor is joined as it is written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import geometric_slerp

from holdfast.methods.staging.fusion import fused, slerp


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def written_out(one: np.ndarray, other: np.ndarray, share: float, epsilon: float) -> np.ndarray:
    """The formula with an arc cosine, in float64."""
    angle = math.acos(max(-1.0, min(1.0, float(one @ other) / float(np.linalg.norm(one) * np.linalg.norm(other)))))
    if angle < epsilon:
        return (1 - share) * one + share * other
    return (math.sin((1 - share) * angle) * one + math.sin(share * angle) * other) / math.sin(angle)


@given(st.integers(0, 10**6), st.integers(2, 9), st.floats(0, 1))
def test_it_is_the_formula(seed: int, size: int, share: float) -> None:
    one, other = draw(seed, size), draw(seed + 1, size)
    wanted = written_out(one.numpy(), other.numpy(), share, 1e-4)
    assert np.allclose(slerp(one, other, share, 1e-4).numpy(), wanted, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_of_unit_vectors_it_is_scipys(seed: int, share: float) -> None:
    one, other = (vector / vector.norm() for vector in (draw(seed, 5), draw(seed + 1, 5)))
    assert np.allclose(slerp(one, other, share, 1e-6).numpy(), geometric_slerp(one.numpy(), other.numpy(), share))


def test_it_begins_at_one_and_ends_at_the_other() -> None:
    one, other = draw(0, 6), draw(1, 6)
    assert torch.allclose(slerp(one, other, 0.0, 1e-4), one, rtol=1e-14)
    assert torch.allclose(slerp(one, other, 1.0, 1e-4), other, rtol=1e-14)


def test_half_way_between_unit_vectors_has_length_1_where_the_line_has_less() -> None:
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert slerp(one, other, 0.5, 1e-4).tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    assert slerp(one, other, 0.5, 2.0).tolist() == [0.5, 0.5]  # the angle is below epsilon


@pytest.mark.parametrize(
    "other", [[2.0, 0.0], [-3.0, 0.0], [0.0, 0.0], [1.0, 1e-7]], ids=["same", "opposite", "zero", "nearly the same"]
)
def test_where_there_is_no_arc_it_is_the_line(other: list[float]) -> None:
    one, end = torch.tensor([1.0, 0.0]), torch.tensor(other)
    assert torch.allclose(slerp(one, end, 0.25, 1e-4), 0.75 * one + 0.25 * end)


def test_small_angles_lose_no_digits() -> None:
    one = draw(0, 50)
    other = one + 1e-7 * draw(1, 50)
    arc, line = slerp(one, other, 0.3, 0.0), 0.7 * one + 0.3 * other
    assert float((arc - line).norm() / (other - one).norm()) < 1e-6


def test_nothing_at_all_stays_nothing() -> None:
    assert slerp(torch.zeros(0), torch.zeros(0), 0.5, 1e-4).shape == (0,)


def test_half_precision_is_reckoned_in_float64_and_given_back_in_its_own() -> None:
    one, other = draw(0, 40).bfloat16(), draw(1, 40).bfloat16()
    wanted = written_out(one.double().numpy(), other.double().numpy(), 0.3, 1e-4)
    found = slerp(one, other, 0.3, 1e-4)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, torch.tensor(wanted).bfloat16())


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(1, 3))
def test_a_tensor_is_fused_as_scalar_by_scalar(seed: int, share: float, trainings: int) -> None:
    shape = (4, 5)
    base = draw(seed, *shape)
    ends = [(draw(seed + 10 + i, *shape), draw(seed + 20 + i, *shape) > 0.8) for i in range(trainings)]
    free = [at for at in range(20) if not any(own.flatten()[at] for _, own in ends)]
    wanted = base.numpy().flatten().copy()
    for values, _ in ends:
        if free:
            wanted[free] = written_out(wanted[free], values.numpy().flatten()[free], share, 1e-4)
    for at in range(20):
        for values, own in ends:
            if own.flatten()[at]:
                wanted[at] = values.flatten()[at]
                break  # of several, the first
    before = base.clone()
    assert np.allclose(fused(base, ends, share, 1e-4).numpy().flatten(), wanted, atol=1e-12)
    assert torch.equal(base, before)


def test_a_tensor_that_is_all_core_is_taken_over() -> None:
    end = draw(1, 3)
    assert torch.equal(fused(draw(0, 3), [(end, torch.ones(3, dtype=torch.bool))], 0.5, 1e-4), end)
