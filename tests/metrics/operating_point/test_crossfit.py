"""What a rule yields on unseen items, against a loop and against truths that a choice on seen items misses."""

from __future__ import annotations

import numpy as np
import pytest
from curves import ELEVEN, candidates, curve, level_curve, noisy_curve

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.operating_point.candidates import Curve
from holdfast.metrics.operating_point.crossfit import _halves, cross_fit, expected_best
from holdfast.metrics.operating_point.rules import KlBudget, LoseAtMost, OneStandardError, Weighted


def test_every_item_is_scored_where_the_other_half_chose() -> None:
    rng = np.random.default_rng(0)
    target = noisy_curve(0.3 * np.minimum(ELEVEN / 0.4, 1), 31, rng)
    logic = noisy_curve(0.9 - 0.2 * ELEVEN, 18, rng, sd=0.2)
    weights = rng.integers(1, 5, 31)
    points = candidates(target, kept={"logic": logic}, weights=weights)
    gain, lost = np.zeros(31), np.zeros(18)
    chosen = []
    for seed in (3, 8):
        halves, kept_halves = _halves(31, seed, 0), _halves(18, seed, 1)
        pair = []
        for own, other in ((0, 1), (1, 0)):
            ours, theirs = halves[own], halves[other]
            part = curve(target[:, ours], weights=weights[ours], kept={"logic": logic[:, kept_halves[own]]})
            place = Weighted(0.5).pick(part)
            gain[theirs] += (target[place] - target[0])[theirs] / 2
            lost[kept_halves[other]] += (logic[0] - logic[place])[kept_halves[other]] / 2
            pair.append(ELEVEN[place])
        chosen.append(tuple(pair))
    found = cross_fit(points, Weighted(0.5), seeds=(3, 8), resamples=300)
    assert found.chosen == tuple(chosen)
    assert found.gain.value == pytest.approx(np.average(gain, weights=weights))
    assert found.forgetting.value == pytest.approx(lost.mean())
    assert found.lead.value == pytest.approx(np.average(gain - target[10] + target[0], weights=weights))
    assert found.recovered.value == pytest.approx((logic[0] - logic[10]).mean() - lost.mean())
    assert (found.rule, found.seeds) == ("weighted(0.5)", (3, 8))
    for finding in (found.gain, found.lead, found.forgetting, found.recovered):
        assert finding.spread is not None
        assert finding.value is not None
        assert finding.spread.low < finding.value < finding.spread.high


@pytest.mark.parametrize("items", [4, 5, 7, 100])
def test_the_halves_are_halves(items: int) -> None:
    sizes = set()
    for seed in range(20):
        one, other = _halves(items, seed, 0)
        assert sorted([*one, *other]) == list(range(items))
        sizes.add(len(one))
    assert sizes == ({items // 2} if items % 2 == 0 else {items // 2, items // 2 + 1})
    assert _halves(100, 0, 0)[0].tolist() != _halves(100, 1, 0)[0].tolist()
    assert _halves(100, 0, 0)[0].tolist() != _halves(100, 0, 1)[0].tolist()


def test_what_the_best_seems_to_gain_by_chance_is_not_gained_on_other_items() -> None:
    # Nothing is to be gained, and the point that looks best is taken: seen items praise it, unseen ones do not.
    rng = np.random.default_rng(1)
    rule, seen, unseen = Weighted(0), [], []
    for _ in range(150):
        points = candidates(noisy_curve(np.zeros(11), 100, rng), kept={"logic": np.ones((11, 4))})
        found = Curve.through(points)
        seen.append(found.gain.values[rule.pick(found)])
        value = cross_fit(points, rule, seeds=(0,), resamples=1).gain.value
        assert value is not None
        unseen.append(value)
    error = 0.45 / np.sqrt(100)
    assert np.mean(seen) > 1.3 * error
    assert abs(np.mean(unseen)) < 3 * np.std(unseen) / np.sqrt(150)
    assert abs(np.mean(unseen)) < 0.4 * error


def test_without_noise_unseen_items_say_what_seen_ones_do() -> None:
    found = cross_fit(candidates(level_curve([0, 0.5, 1, 1], 8), kept={"logic": level_curve([1, 0.9, 0.8, 0], 5)}))
    assert found.rule == "one_standard_error"
    assert found.chosen == ((2 / 3, 2 / 3),) * 5
    assert (found.gain.value, found.lead.value) == pytest.approx((1, 0))
    assert (found.forgetting.value, found.recovered.value) == pytest.approx((0.2, 0.8))


def test_forgetting_is_a_reason_where_nobody_looked() -> None:
    found = cross_fit(candidates(level_curve([0, 1], 8)))
    assert found.forgetting.reason == "undefined: forgetting needs a benchmark with the role 'keep', and there is none"
    assert found.gain.value == 1


def test_kl_has_no_items_and_is_the_same_for_both_halves() -> None:
    points = candidates(level_curve([0, 1, 1], 8), kl_nats=[0, 0.05, 0.5])
    assert cross_fit(points, KlBudget(0.1), seeds=[0]).chosen == ((0.5, 0.5),)


def test_too_few_items_are_not_split() -> None:
    points = candidates(level_curve([0, 1], 3), kept={"logic": np.ones((2, 4)), "recall": np.ones((2, 2))})
    with pytest.raises(NotMeasurable) as caught:
        cross_fit(points)
    assert str(caught.value) == (
        "undefined: a cross-fit needs at least 4 items of every task: (target) has 3, recall has 2"
    )
    assert cross_fit(candidates(level_curve([0, 1], 4)), OneStandardError()).gain.value == 1


def test_a_half_may_have_too_few_items_to_be_sure() -> None:
    points = candidates(level_curve([0, 1], 30), kept={"logic": np.ones((2, 30))})
    with pytest.raises(NotMeasurable, match="logic has 15; give more items"):
        cross_fit(points, LoseAtMost(0.1, sure=True))


def test_a_split_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="a cross-fit needs at least one seed, found none"):
        cross_fit(candidates(level_curve([0, 1], 8)), seeds=())


@pytest.mark.parametrize(("points", "errors"), [(1, 0.0), (2, np.pi**-0.5), (3, 1.5 * np.pi**-0.5), (11, 1.5864)])
def test_the_best_of_equal_points_is_too_good_by_what_is_known(points: int, errors: float) -> None:
    assert expected_best(points) == pytest.approx(errors, abs=1e-4)


def test_the_best_of_eleven_equal_points_is_simulated_to_be_as_much_too_good() -> None:
    rng = np.random.default_rng(11)
    too_good = [noisy_curve(np.zeros(11), 400, rng).mean(axis=1).max() for _ in range(1000)]
    assert np.mean(too_good) / (0.45 / np.sqrt(400)) == pytest.approx(1.59, abs=0.1)


def test_the_best_of_no_points_is_nothing() -> None:
    with pytest.raises(ValueError, match="the best of 0 points is nothing, give at least 1"):
        expected_best(0)
