"""Shares of one difference in another: where they are defined, and how well their intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from curves import curve, level_curve, noisy_curve

from holdfast.metrics.bootstrap import Resamples, paired_interval, resample
from holdfast.metrics.operating_point.finding import Finding, find_difference, find_share


def drawn(table: object, resamples: int = 2000, **kept: object) -> Resamples:
    return resample(curve(table, kept=kept).benchmarks([1, 2]), resamples)


def test_a_difference_is_the_paired_contrast() -> None:
    resamples = drawn(noisy_curve([0, 0.1, 0.2], 50, np.random.default_rng(0)))
    found = find_difference(resamples, "t = 1.0", "t = 0.5", "gain", 0.9)
    contrast = paired_interval(resamples, "t = 1.0", "t = 0.5", "gain", 0.9)
    assert found == Finding(contrast.value, contrast.spread)


def test_where_nothing_is_kept_forgetting_is_a_reason() -> None:
    resamples = drawn(level_curve([0, 1, 1], 3))
    why = "undefined: forgetting needs a benchmark with the role 'keep', and there is none"
    assert find_difference(resamples, "t = 1.0", "base", "forgetting", 0.95) == Finding(None, None, why)
    assert find_share(resamples, "t = 0.5", "t = 1.0", "forgetting", 0.95) == Finding(None, None, why)


@pytest.mark.parametrize("final", [0.0, -0.25])
def test_a_share_of_no_gain_is_undefined(final: float) -> None:
    found = find_share(drawn(level_curve([0, 0.5, final], 40)), "t = 0.5", "t = 1.0", "gain", 0.95)
    assert found == Finding(None, None, f"undefined: a share of the final gain, {final:+.4f}, which is not above 0")


def test_a_share_of_what_may_be_nothing_has_no_interval() -> None:
    table = np.zeros((3, 100))
    table[2, :3], table[2, 3:5] = 1, -1
    found = find_share(drawn(table), "t = 0.5", "t = 1.0", "gain", 0.95)
    assert (found.value, found.spread) == (0, None)
    assert found.reason == "no interval: the final gain, +0.0100, may as well be 0"


def test_the_end_of_the_path_keeps_exactly_all_of_its_gain() -> None:
    table = noisy_curve([0, 0.1, 0.3], 200, np.random.default_rng(0))
    found = find_share(drawn(table), "t = 1.0", "t = 1.0", "gain", 0.95)
    assert found.value == 1
    assert found.spread == pytest.approx((1, 1))


def test_the_ends_of_a_share_are_where_its_parts_might_balance() -> None:
    resamples = drawn(noisy_curve([0, 0.2, 0.3], 200, np.random.default_rng(1)), 4000)
    found = find_share(resamples, "t = 0.5", "t = 1.0", "gain", 0.95)
    assert found.spread is not None
    assert found.value is not None
    part, whole = (resamples.draws(name, "gain") for name in ("t = 0.5", "t = 1.0"))
    for share in found.spread:
        centre = resamples.estimate("t = 0.5", "gain") - share * resamples.estimate("t = 1.0", "gain")
        assert abs(centre) / np.std(part - share * whole) == pytest.approx(1.96, abs=1e-3)
    percentiles = np.quantile(part / whole, [0.025, 0.975])
    assert found.spread == pytest.approx(percentiles, abs=0.1 * np.diff(percentiles)[0])


def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        found = find_share(
            drawn(noisy_curve([0, 0.24, 0.3], 100, rng, shared=0.5), 400), "t = 0.5", "t = 1.0", "gain", 0.95
        )
        assert found.spread is not None
        held += found.spread.low <= 0.8 <= found.spread.high
    assert 0.92 <= held / 300 <= 0.98
