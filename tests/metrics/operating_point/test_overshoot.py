"""An overshoot is claimed, denied or left open, and seldom wrongly, however many points are looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from curves import ELEVEN, candidates, curve, level_curve, noisy_curve
from scipy import stats

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import resample
from holdfast.metrics.operating_point.overshoot import Overshoot, find_overshoot

PLATEAU = np.minimum(ELEVEN / 0.4, 1)


def found(target: np.ndarray, kept: np.ndarray, **options: Any) -> Overshoot:
    points = candidates(target, kept={"general": kept}, unit="nats/token", units={"general": "nats/token"})
    return find_overshoot(points, **{"resamples": 300, **options})


def test_a_plateau_that_costs_retention_is_an_overshoot() -> None:
    rng = np.random.default_rng(0)
    target = noisy_curve(PLATEAU, 400, rng, sd=0.3, shared=0.9)
    kept = noisy_curve(1 - 0.5 * ELEVEN, 400, rng, sd=0.3, shared=0.9)
    result = found(target, kept)
    assert result.verdict == "yes"
    assert result.witness is not None
    assert result.witness.t == 0.4
    assert result.sentence.startswith(
        "the finished model overshot: at t = 0.4 the target score is within 0.05 of the final one or above, "
    )
    assert result.sentence.endswith("of forgetting is undone (95% intervals that hold for all 10 points together)")
    assert [point.as_good for point in result.points] == [False] * 4 + [True] * 6
    assert all(point.kept_more for point in result.points[:9])
    assert 1.96 < result.errors < 3.5


def test_a_curve_that_still_rises_is_none() -> None:
    rng = np.random.default_rng(1)
    target = noisy_curve(5 * ELEVEN, 400, rng, sd=0.3, shared=0.9)
    result = found(target, noisy_curve(1 - 0.5 * ELEVEN, 400, rng, sd=0.3, shared=0.9))
    assert result.verdict == "no"
    assert result.witness is None
    assert all(point.worse for point in result.points)
    assert result.sentence == (
        "the finished model did not overshoot: every point before it is below the final target score by more than "
        "0.05, or undoes less than 0.05 of forgetting (95% intervals that hold for all 10 points together)"
    )


def test_where_nothing_was_forgotten_nothing_can_be_undone() -> None:
    result = found(level_curve(PLATEAU, 40), level_curve(np.ones(11), 40))
    assert result.verdict == "no"
    assert all(point.kept_no_more for point in result.points)
    assert not any(point.kept_more for point in result.points)


def test_that_nothing_was_forgotten_takes_more_answers_than_a_few() -> None:
    verdicts = [
        find_overshoot(candidates(level_curve(PLATEAU, 40), kept={"logic": np.ones((11, items))}), resamples=50).verdict
        for items in (40, 400)
    ]
    assert verdicts == ["undecided", "no"]


def test_what_noise_hides_is_left_open_with_numbers() -> None:
    rng = np.random.default_rng(2)
    result = found(noisy_curve(PLATEAU, 30, rng), noisy_curve(1 - 0.1 * ELEVEN, 30, rng))
    assert result.verdict == "undecided"
    assert result.sentence.startswith("undecided: the clearest point, t = ")
    assert "where -0.05 is allowed, and undoes" in result.sentence
    assert result.sentence.endswith("more items would tell")


def test_an_update_without_use_is_an_overshoot_from_the_base_on() -> None:
    result = found(level_curve([0.5, 0.5], 40), level_curve([1, 0.5], 40))
    assert result.verdict == "yes"
    assert result.sentence == (
        "the finished model overshot: even at the base the target score is within 0.05 of the final one or above, "
        "+0.0000 [+0.0000, +0.0000], and +0.5000 [+0.5000, +0.5000] of forgetting is undone "
        "(95% intervals that hold for the only point before the end)"
    )


def test_intervals_are_those_of_a_loop_over_resamples() -> None:
    rng = np.random.default_rng(3)
    target, kept = noisy_curve([0, 0.5, 0.6], 30, rng), noisy_curve([1, 0.9, 0.8], 25, rng)
    result = found(target, kept, seed=5, level=0.9)
    drawn = resample(curve(target, kept={"general": kept}).benchmarks([1, 2]), 300, 5)
    final = {name: drawn.draws("t = 1.0", name) for name in ("gain", "forgetting")}
    columns = []
    for i, name in ((0, "base"), (1, "t = 0.5")):
        columns.append((target[i] - target[2]).mean() - (drawn.draws(name, "gain") - final["gain"]))
        columns.append((kept[i] - kept[2]).mean() - (final["forgetting"] - drawn.draws(name, "forgetting")))
    errors = [np.std(column) for column in columns]
    largest = [max(abs(c[b]) / e for c, e in zip(columns, errors, strict=True)) for b in range(300)]
    assert result.errors == pytest.approx(np.quantile(largest, 0.9))
    lead = (target[1] - target[2]).mean()
    for point, row in ((result.points[0], 0), (result.points[1], 1)):
        lead, half = (target[row] - target[2]).mean(), result.errors * stats.sem(target[row] - target[2])
        assert point.lead.spread == pytest.approx((lead - half, lead + half))
        recovered, half = (kept[row] - kept[2]).mean(), result.errors * stats.sem(kept[row] - kept[2])
        assert point.recovered.spread == pytest.approx((recovered - half, recovered + half))


def test_answers_that_all_agree_are_not_proof_of_equality() -> None:
    # None of 20 answers differs; up to a fifth of all that were not asked may.
    kept = level_curve([1, 0.5, 0], 400)
    short, long = (
        find_overshoot(candidates(level_curve([0, 1, 1], items), kept={"general": kept}), resamples=50)
        for items in (20, 400)
    )
    assert (short.verdict, long.verdict) == ("undecided", "yes")
    assert short.points[1].lead.spread == pytest.approx((-(1.96**2) / 20, 1.96**2 / 20), abs=1e-4)


def test_a_false_overshoot_is_seldom_claimed_of_answers_that_hardly_differ() -> None:
    # A bootstrap alone claims more, since few answers that differ make both the lead and its error small.
    rng = np.random.default_rng(7)
    kept, claimed = level_curve(1 - 0.5 * ELEVEN, 40), 0
    for _ in range(100):
        hard = rng.random(200)
        points = candidates([*[hard > 0.06] * 10, hard > 0.01], kept={"general": kept})
        claimed += find_overshoot(points, resamples=200).verdict == "yes"
    assert claimed <= 5


def test_a_false_overshoot_is_seldom_claimed_although_ten_points_are_looked_at() -> None:
    # The worst case of no overshoot: every point lies exactly the margin below the end.
    rng = np.random.default_rng(4)
    means = np.append(np.full(10, -0.05), 0)
    kept = level_curve(1 - 0.5 * ELEVEN, 40)
    claimed = [found(noisy_curve(means, 100, rng), kept).verdict == "yes" for _ in range(200)]
    assert np.mean(claimed) <= 0.08


def test_an_overshoot_is_seldom_denied() -> None:
    # Just one point is as good as allowed and has forgotten less.
    rng = np.random.default_rng(5)
    means = np.array([-5, -0.05, 0.0])
    kept = level_curve([1, 0.9, 0.8], 40)
    denied = [found(noisy_curve(means, 100, rng), kept).verdict == "no" for _ in range(200)]
    assert np.mean(denied) <= 0.05


def test_an_overshoot_is_not_looked_for_with_few_items() -> None:
    with pytest.raises(NotMeasurable) as caught:
        found(level_curve([0, 1], 20), level_curve([1, 0], 19))
    assert str(caught.value) == (
        "undefined: an overshoot is looked for with at least 20 items of every task: general has 19"
    )


def test_an_overshoot_needs_something_kept() -> None:
    with pytest.raises(NotMeasurable, match="forgetting needs scores on a task to be kept"):
        find_overshoot(candidates(level_curve([0, 1], 30)))


@pytest.mark.parametrize("margin", [0.0, -0.1])
def test_equality_cannot_be_shown_without_a_margin(margin: float) -> None:
    with pytest.raises(ValueError, match=r"a margin is above 0, such as 0\.02, found .*; equality cannot be shown"):
        found(level_curve([0, 1], 30), level_curve([1, 0], 30), margin=margin)
