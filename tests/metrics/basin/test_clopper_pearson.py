"""Limits of shares against the published vectors and against sums of binomial probabilities."""

from __future__ import annotations

import pytest
from scipy import stats

from holdfast.metrics.basin.clopper_pearson import lower_limit, upper_limit
from holdfast.metrics.significance import proportion_interval

VECTORS = [
    (50, 50, 0.899455, 1.0, 0.912011),
    (48, 50, 0.827498, 0.997911, 0.842296),
    (99, 100, 0.928042, 0.999950, 0.935457),
    (95, 100, 0.864855, 0.989060, 0.874148),
    (990, 1000, 0.978724, 0.996273, 0.979957),
]


@pytest.mark.parametrize(("successes", "n", "low", "high", "one_sided"), VECTORS)
def test_limits_equal_the_vectors(successes: int, n: int, low: float, high: float, one_sided: float) -> None:
    assert proportion_interval(successes, n, 0.99) == pytest.approx((low, high), abs=5e-7)
    assert lower_limit(successes, n, 0.99) == pytest.approx(one_sided, abs=5e-7)
    assert lower_limit(successes, n, 0.995) == pytest.approx(low, abs=5e-7)
    assert upper_limit(successes, n, 0.995) == pytest.approx(high, abs=5e-7)


@pytest.mark.parametrize(("successes", "n"), [(1, 1), (3, 7), (20, 20), (0, 4)])
def test_at_the_limit_as_many_successes_have_the_probability_of_the_error(successes: int, n: int) -> None:
    low, high = lower_limit(successes, n, 0.95), upper_limit(successes, n, 0.95)
    assert low == 0 if successes == 0 else stats.binom.sf(successes - 1, n, low) == pytest.approx(0.05)
    assert high == 1 if successes == n else stats.binom.cdf(successes, n, high) == pytest.approx(0.05)


def test_forty_four_directions_without_a_failure_are_the_fewest_for_nine_tenths() -> None:
    assert lower_limit(43, 43) < 0.9 < lower_limit(44, 44)
    assert lower_limit(50, 50, 0.995) < 0.9 < lower_limit(51, 51, 0.995)
    assert lower_limit(1000, 1000) == pytest.approx(0.9954, abs=5e-5)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial, found none"):
        lower_limit(0, 0)
    with pytest.raises(ValueError, match="found 3 of 2"):
        upper_limit(3, 2)
    with pytest.raises(ValueError, match="a confidence level lies strictly within 0 and 1"):
        lower_limit(1, 2, 1.0)
