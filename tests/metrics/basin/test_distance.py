"""Mahalanobis lengths against dense algebra, and displacements that the noise does not cover."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.distance import sigmas_by_part, sigmas_in_range, sigmas_moved


def test_noise_alike_in_all_directions_divides_by_sigma() -> None:
    assert sigmas_moved(3.0, 0.5) == 6.0


@pytest.mark.parametrize("sigma", [0, -1, np.nan, np.inf])
def test_a_sigma_that_is_none_is_refused(sigma: float) -> None:
    with pytest.raises(
        ValueError, match="sigma is the standard deviation of the noise, a finite number above 0, found"
    ):
        sigmas_moved(1.0, sigma)


@pytest.mark.parametrize("norm", [-1, np.nan, np.inf])
def test_a_length_that_is_none_is_refused(norm: float) -> None:
    with pytest.raises(ValueError, match="the length of a displacement is finite and at least 0"):
        sigmas_moved(norm, 1.0)


def test_parts_and_factors_agree_with_the_inverse_covariance() -> None:
    generator = np.random.default_rng(0)
    moved, spread = generator.standard_normal(5), np.array([0.1, 0.1, 2.0, 2.0, 2.0])
    dense = np.sqrt(moved @ np.linalg.inv(np.diag(spread**2)) @ moved)
    norms = {"a": float(np.linalg.norm(moved[:2])), "b": float(np.linalg.norm(moved[2:]))}
    assert sigmas_by_part(norms, {"a": 0.1, "b": 2.0, "c": 1.0}) == pytest.approx(dense)
    assert sigmas_in_range(moved, np.diag(spread)) == pytest.approx(dense)


def test_any_factor_of_a_singular_covariance_gives_its_pseudo_inverse_norm() -> None:
    generator = np.random.default_rng(1)
    factor = generator.standard_normal((6, 3)) @ np.diag([1, 2, 0.3])
    moved = factor @ generator.standard_normal(3)
    dense = np.sqrt(moved @ np.linalg.pinv(factor @ factor.T, rcond=1e-10) @ moved)
    turned = factor @ np.linalg.qr(generator.standard_normal((3, 3)))[0]
    assert sigmas_in_range(moved, factor) == pytest.approx(dense)
    assert sigmas_in_range(moved, np.hstack([turned, np.zeros((6, 1))])) == pytest.approx(dense)


def test_a_displacement_outside_of_the_range_raises_and_gives_no_number() -> None:
    factor = np.eye(3)[:, :2]
    with pytest.raises(NotMeasurable, match=r"80\.00% of the displacement's length lies outside of the range"):
        sigmas_in_range(np.array([0.6, 0.0, 0.8]), factor)


def test_a_part_without_noise_that_moved_is_refused() -> None:
    with pytest.raises(NotMeasurable, match="moves 2 parts on which there is no noise, among them 'bias'"):
        sigmas_by_part({"w": 1.0, "norm": 0.1, "bias": 0.2}, {"w": 1.0, "bias": 0.0})


def test_a_part_without_noise_that_stayed_is_no_harm() -> None:
    assert sigmas_by_part({"w": 1.0, "bias": 0.0}, {"w": 0.5}) == 2.0
    assert sigmas_in_range(np.zeros(3), np.eye(3)[:, :1]) == 0.0


def test_a_negative_sigma_of_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="a sigma is finite and at least 0, found -1"):
        sigmas_by_part({"w": 1.0}, {"w": -1})
