"""The bounds against the published vectors, and against the half-space, the model for which the strong one is tight."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from holdfast.core.errors import NotMeasurable, UnknownName
from holdfast.metrics.basin import bounds
from holdfast.metrics.basin.bounds import bound, radius_sigmas, strong_bound, weak_bound

VECTORS = [
    (0.9, 0.5, 0.7827609196, 0.7005288598),
    (0.9, 1.2815515656, 0.5, 0.3887348960),
    (0.99, 1, 0.9076377519, 0.5910577196),
    (0.5, 0.1, 0.4601721627, 0.4601057720),
    (0.999, 2, 0.8621945871, 0.2011154392),
]
shares = st.floats(0, 1)
lengths = st.floats(0, 20)


@pytest.mark.parametrize(("p", "sigmas", "strong", "weak"), VECTORS)
def test_bounds_equal_the_vectors(p: float, sigmas: float, strong: float, weak: float) -> None:
    assert strong_bound(p, sigmas) == bound(p, sigmas) == pytest.approx(strong, abs=1e-9)
    assert weak_bound(p, sigmas) == bound(p, sigmas, "weak") == pytest.approx(weak, abs=1e-9)


@given(shares, lengths)
def test_the_weak_bound_never_exceeds_the_strong_one(p: float, sigmas: float) -> None:
    assert weak_bound(p, sigmas) <= strong_bound(p, sigmas) + 1e-12


@given(shares)
def test_nothing_is_lost_without_a_displacement(p: float) -> None:
    assert strong_bound(p, 0) == pytest.approx(p, abs=1e-12)


def test_ends_are_limits() -> None:
    assert (strong_bound(0, 3), strong_bound(1, 3)) == (0, 1)


@given(st.floats(0.02, 0.999), st.floats(0.001, 0.9))
def test_a_radius_is_where_the_bound_reaches_what_is_to_be_kept(p: float, frac: float) -> None:
    keep = p * frac
    assert strong_bound(p, radius_sigmas(p, keep)) == pytest.approx(keep)


@pytest.mark.parametrize(
    ("p", "keep", "sigmas"),
    [(0.9, 0.5, 1.28), (0.9, 0.85, 0.245), (0.99, 0.94, 0.772), (0.999, 0.949, 1.455), (0.9999, 0.9499, 2.075)],
)
def test_radii_equal_the_computed_ones(p: float, keep: float, sigmas: float) -> None:
    assert radius_sigmas(p, keep) == pytest.approx(sigmas, abs=2e-3)


def test_certainty_has_an_infinite_radius() -> None:
    assert radius_sigmas(1, 0.5) == inf


def test_no_radius_keeps_what_is_not_there() -> None:
    with pytest.raises(NotMeasurable, match=r"no radius: no more than 0\.4 is certain before any move, and 0\.5"):
        radius_sigmas(0.4, 0.5)


@pytest.mark.parametrize("keep", [0, 1, -0.1])
def test_what_is_kept_lies_strictly_within_0_and_1(keep: float) -> None:
    with pytest.raises(ValueError, match=r"strictly within 0 and 1, such as 0\.5, found"):
        radius_sigmas(0.9, keep)


def test_statements_from_a_lipschitz_constant_are_refused_by_name() -> None:
    with pytest.raises(NotMeasurable, match="Lipschitz constant of the score itself is refused: a greedy 0-1 score"):
        bound(0.9, 1, "lipschitz")


def test_the_token_statement_is_refused_by_name() -> None:
    with pytest.raises(
        NotMeasurable, match=r"substituted tokens .* is refused: it has a counterexample with two words"
    ):
        bound(0.9, 1, "token")


def test_unknown_bounds_are_told_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown bound 'strogn': did you mean 'strong'"):
        bound(0.9, 1, "strogn")


@pytest.mark.parametrize(("p", "sigmas"), [(-0.1, 1), (1.1, 1), (np.nan, 1), (0.5, -1), (0.5, inf), (0.5, np.nan)])
def test_impossible_scores_and_lengths_are_refused(p: float, sigmas: float) -> None:
    with pytest.raises(ValueError, match=r"lies within 0 and 1|finite length of at least 0"):
        strong_bound(p, sigmas)


def worst_half_space_gap(of: Callable[[float, float], float]) -> float:
    """Largest standardised gap, by Monte Carlo, between a bound and a half-space that is left along its normal."""
    generator, draws, sigma = np.random.default_rng(0), 40_000, 0.3
    normal, offset = np.array([2.0, -1.0, 2.0]), 0.4
    base = np.array([0.1, -0.2, 0.05])
    gaps = []
    for r in (0.1, 0.3, 0.6):
        moved = base - r * normal / np.linalg.norm(normal)
        noise = sigma * generator.standard_normal((draws, 3))
        before, after = ((theta + noise) @ normal + offset >= 0 for theta in (base, moved))
        margin = (base @ normal + offset) / (sigma * np.linalg.norm(normal))
        assert abs(before.mean() - ndtr(margin)) < 4 * before.std() / sqrt(draws)
        gaps.append(abs(of(float(ndtr(margin)), r / sigma) - after.mean()) / (after.std() / sqrt(draws)))
    return max(gaps)


def test_the_bound_is_met_by_a_half_space_that_is_left_along_its_normal() -> None:
    assert worst_half_space_gap(strong_bound) < 4


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ndtri(p) - sigmas", "ndtri(p) + sigmas"),
        ("ndtri(p) - sigmas", "ndtri(p) - 1.1 * sigmas"),
        ("ndtri(p) - sigmas", "ndtri(p) - sigmas**2"),
        ("ndtr(ndtri(p) - sigmas)", "ndtr(p - sigmas)"),
    ],
)
def test_the_half_space_tells_a_wrong_sign_or_scale(right: str, wrong: str) -> None:
    source = inspect.getsource(strong_bound)
    assert source.count(right) == 1 or right in source.split('"""')[-1]
    mutated = dict(vars(bounds))
    exec(source.replace(right, wrong), mutated)
    assert worst_half_space_gap(mutated["strong_bound"]) > 8


def test_scores_other_than_half_spaces_stay_above_the_bound() -> None:
    generator = np.random.default_rng(1)
    noise = generator.standard_normal((100_000, 2))

    def smoothed(theta: np.ndarray) -> float:
        u = theta + noise
        return float(((u[:, 0] ** 2 + np.sin(u[:, 1]) < 1.5) * (0.4 + 0.6 * (u[:, 1] > 0))).mean())

    before = smoothed(np.zeros(2))
    for angle in np.linspace(0, 6, 7):
        for r in (0.3, 1.0, 2.0):
            after = smoothed(r * np.array([np.cos(angle), np.sin(angle)]))
            assert after >= strong_bound(before, r) - 0.01
