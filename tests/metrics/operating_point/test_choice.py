"""A choice says what it gains and gives back, in intervals, and when it could not be made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from curves import ELEVEN, candidates, level_curve, noisy_curve

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import paired_interval, resample
from holdfast.metrics.operating_point.candidates import Candidate, Curve
from holdfast.metrics.operating_point.choice import choose
from holdfast.metrics.operating_point.rules import KeepGain, KlBudget, LoseAtMost, OneStandardError, Rule, Weighted
from holdfast.metrics.tradeoff import UnusableScores


def overshooting(items: int = 400, seed: int = 0) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    target = noisy_curve(0.5 * np.minimum(ELEVEN / 0.4, 1), items, rng, shared=0.8)
    kept = noisy_curve(0.9 - 0.4 * ELEVEN, items, rng, sd=0.3, shared=0.8)
    return candidates(target, kept={"general": kept})


def test_an_overshoot_is_rewound_and_what_that_is_worth_is_said() -> None:
    points = overshooting()
    found = choose(points, resamples=1000)
    assert found.verdict == "rewind to 0.4"
    assert (found.candidate.t, found.rule, found.items) == (0.4, "one_standard_error", 400)
    target = [each.target.values.mean() for each in points]
    kept = [each.kept["general"].values.mean() for each in points]
    assert found.gain.value == pytest.approx(target[4] - target[0])
    assert found.final_gain.value == pytest.approx(target[10] - target[0])
    assert found.gain_kept.value == pytest.approx((target[4] - target[0]) / (target[10] - target[0]))
    assert found.lead.value == pytest.approx(target[4] - target[10])
    assert found.forgetting.value == pytest.approx(kept[0] - kept[4])
    assert found.final_forgetting.value == pytest.approx(kept[0] - kept[10])
    assert found.recovered.value == pytest.approx(kept[4] - kept[10])
    assert found.recovered_share.value == pytest.approx((kept[4] - kept[10]) / (kept[0] - kept[10]))
    for finding in (found.gain, found.gain_kept, found.lead, found.forgetting, found.recovered, found.recovered_share):
        assert finding.spread is not None
        assert finding.value is not None
        assert finding.spread.low < finding.value < finding.spread.high
        assert finding.reason is None
    assert found.enough


def test_intervals_are_those_of_the_paired_bootstrap() -> None:
    points = overshooting(60)
    found = choose(points, level=0.9, resamples=500, seed=3)
    curve = Curve.through(points)
    place = curve.candidates.index(found.candidate)
    drawn = resample(curve.benchmarks(range(1, 11)), 500, 3)
    recovered = paired_interval(drawn, "t = 1.0", curve.label(place), "forgetting", 0.9)
    lead = paired_interval(drawn, curve.label(place), "t = 1.0", "gain", 0.9)
    assert found.recovered.spread == pytest.approx(recovered.spread)
    assert found.lead.spread == pytest.approx(lead.spread)


def test_an_update_that_only_harms_does_not_help() -> None:
    found = choose(candidates(level_curve([0.9, 0.5, 0.1], 30), kept={"logic": level_curve([1, 0.8, 0.4], 30)}))
    assert found.verdict == "this update does not help"
    assert found.candidate.t == 0
    assert (found.gain.value, found.gain.spread, found.forgetting.value) == (0, (0, 0), 0)
    assert found.gain_kept.reason == "undefined: a share of the final gain, -0.8000, which is not above 0"
    assert found.recovered.value == pytest.approx(0.6)
    assert found.recovered_share.value == pytest.approx(1)


def test_a_path_that_rises_to_its_end_is_not_rewound() -> None:
    rng = np.random.default_rng(4)
    found = choose(candidates(noisy_curve(ELEVEN, 200, rng, shared=0.8), kept={"logic": np.ones((11, 40))}))
    assert found.verdict == "do not rewind: no overshoot found"
    assert found.candidate.t == 1
    assert found.gain_kept.value == 1
    assert (found.recovered.value, found.recovered.spread) == (0, (0, 0))
    assert found.recovered_share.reason == ("undefined: a share of the final forgetting, +0.0000, which is not above 0")
    assert found.enough


@pytest.mark.parametrize("rule", [LoseAtMost(0.01), Weighted(9), KlBudget(0.01)])
def test_an_update_that_gains_but_breaks_the_rule_is_not_called_useless(rule: Rule) -> None:
    kept = {"logic": level_curve([1, 0.5, 0], 30)}
    found = choose(candidates(level_curve([0, 0.8, 1], 30), kept=kept, kl_nats=[0, 1, 2]), rule)
    assert found.candidate.t == 0
    assert found.verdict == f"this update gains, but no point of it is better than the base under {rule.spec}"


def test_forgetting_is_a_reason_where_nobody_looked() -> None:
    found = choose(candidates(level_curve([0, 1, 1], 30)))
    assert found.verdict == "rewind to 0.5"
    assert found.gain_kept.value == 1
    for finding in (found.forgetting, found.final_forgetting, found.recovered, found.recovered_share):
        assert (finding.value, finding.spread) == (None, None)
        assert finding.reason == "undefined: forgetting needs a benchmark with the role 'keep', and there is none"


def test_a_few_items_are_too_few_whatever_they_say() -> None:
    found = choose(candidates(level_curve([0, 1, 1], 19)))
    assert not found.enough
    assert found.too_few == (
        "too few items to decide: with 19 target items the chosen point differs from the finished model by +0.0000, "
        "95% interval [-0.1765, +0.1765]; give at least 20"
    )
    assert choose(candidates(level_curve([0, 1, 1], 20))).enough


def test_one_item_is_too_few() -> None:
    found = choose(candidates([[0.0], [1.0], [1.0]], unit="nats/token"), KeepGain(0.5))
    assert found.too_few == (
        "too few items to decide: with 1 target item the chosen point differs from the finished model by +0.0000, "
        "95% interval [+0.0000, +0.0000]; give at least 20"
    )
    with pytest.raises(NotMeasurable):
        choose(candidates([[0.0], [0.5], [1.0]]))


def test_an_interval_wide_beside_the_gain_is_said() -> None:
    rng = np.random.default_rng(5)
    points = candidates(noisy_curve([0.5, 0.52, 0.54], 60, rng))
    found = choose(points, OneStandardError())
    assert found.too_few is not None
    assert found.too_few.startswith("too few items to decide: with 60 target items the chosen point differs from ")
    assert ", wide beside the best gain of +" in found.too_few
    assert found.too_few.endswith("; give more items")
    assert choose(points, OneStandardError(), worth=1.0).enough


def test_at_the_end_of_the_path_the_base_is_the_rival() -> None:
    found = choose(candidates(level_curve([0, 0.1, 1], 10)))
    assert found.too_few is not None
    assert "the chosen point differs from the base by +1.0000" in found.too_few


def test_the_same_seed_gives_the_same_choice_and_the_order_does_not_matter() -> None:
    points = overshooting(50)
    one, other = choose(points, resamples=200), choose(points[::-1], resamples=200)
    assert one == other
    assert one.gain.spread != choose(points, resamples=200, seed=1).gain.spread


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"resamples": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"found|asked for"):
        choose(overshooting(5), **wrong)


def test_candidates_without_an_end_are_refused() -> None:
    with pytest.raises(UnusableScores, match="evaluate both"):
        choose(overshooting()[:-1])
