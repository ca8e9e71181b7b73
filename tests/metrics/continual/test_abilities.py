"""Abilities that no stage trains are compared with the untouched base, and only where all were measured."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.continual.abilities import Abilities, ability_delta
from holdfast.metrics.tradeoff import UnusableScores

ROWS = [(0.6, 0.8), (0.5, 0.8), (0.3, None), (0.2, 0.7)]


def test_the_delta_is_the_mean_difference_from_the_base() -> None:
    abilities = Abilities.of(ROWS)
    assert ability_delta(abilities) == pytest.approx((0.2 - 0.6 + 0.7 - 0.8) / 2)
    assert ability_delta(abilities, stage=1) == pytest.approx(-0.05)
    assert ability_delta(abilities, stage=0) == 0


def test_a_missing_score_is_named() -> None:
    with pytest.raises(NotMeasurable) as told:
        ability_delta(Abilities.of(ROWS, names=["sums", "facts"], kind="safety"), stage=2)
    assert str(told.value) == "undefined: safety_delta needs what was not measured: 'facts' after stage 2"
    with pytest.raises(NotMeasurable, match="'benchmark 1' on the untouched base"):
        ability_delta(Abilities.of([[None], [0.5]]))


def test_there_is_no_stage_outside() -> None:
    with pytest.raises(ValueError, match="stages run from 0 to 3, found 4"):
        ability_delta(Abilities.of(ROWS), stage=4)


def test_log_likelihoods_lie_where_they_like() -> None:
    assert ability_delta(Abilities.of([[-2.0], [-2.5]], unit="nats/token")) == pytest.approx(-0.5)
    with pytest.raises(UnusableScores, match="scores that are infinite"):
        Abilities.of([[-2.0], [-np.inf]], unit="nats/token")


def test_shapes_and_ranges_are_checked() -> None:
    with pytest.raises(UnusableScores, match="a row a stage and a column for each of 1 benchmarks, found shape"):
        Abilities.of(ROWS, names=["one"])
    with pytest.raises(UnusableScores, match="a row a stage and a column a benchmark"):
        Abilities.of([0.1, 0.2])
    with pytest.raises(UnusableScores, match=r"'benchmark 1' after stage 0 is 60, .* are they percent"):
        Abilities.of([[60], [30]])
    assert ability_delta(Abilities.of([[60], [30]], percent=True)) == pytest.approx(-0.3)
