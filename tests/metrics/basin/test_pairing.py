"""Two models along the same directions: error rates, what pairing saves, and ratios of widths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from holdfast.core.basin import BasinCurve
from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.curve import curve
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.metrics.basin.pairing import duel, width_ratio

ITEMS = 24


def model(scale: float = 1.0, other: int = 0) -> Evaluations:
    """Items that are answered while their margin outweighs the noise; models share noise unless told otherwise."""
    margins = scale * np.linspace(0.5, 3, ITEMS)

    def measure(sigma: float, seed: int, items: Sequence[int]) -> np.ndarray:
        noise = np.random.default_rng([seed, other]).standard_normal(ITEMS)
        return (margins + sigma * noise > 0)[list(items)].astype(float)

    return Evaluations(measure, ITEMS)


def test_the_model_that_loses_less_is_named() -> None:
    first = duel(model(2.0), model(1.0), 1.0)
    assert first.kept_better == "first"
    assert first.spread.low <= first.difference <= first.spread.high
    assert first.difference > 0.02
    second = duel(model(1.0), model(2.0), 1.0)
    assert (second.kept_better, second.directions) == ("second", first.directions)
    assert second.difference == pytest.approx(-first.difference)


def test_a_model_does_not_differ_from_itself() -> None:
    found = duel(model(), model(), 1.0, most_directions=40)
    assert (found.kept_better, found.difference, found.directions) == ("undecided", 0, 40)


def test_equal_models_are_named_no_more_often_than_the_error() -> None:
    named = [
        duel(model(1, 1), model(1, 2), 1.0, error=0.05, most_directions=20, first_seed=run * 1000).kept_better
        for run in range(60)
    ]
    assert max(named.count("first"), named.count("second")) <= 8


def test_the_same_directions_decide_sooner_than_others() -> None:
    shared, apart = (
        np.mean([duel(model(1.6, 1), model(1, other), 1.0, first_seed=run * 1000).directions for run in range(4)])
        for other in (1, 2)
    )
    assert shared < apart


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0.0}, "a finite number above 0, found 0"),
        ({"most_directions": 0}, "asked for 0 directions of 4"),
        ({"items_a_direction": 0}, "asked for 400 directions of 0"),
    ],
)
def test_comparisons_that_are_none_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        duel(model(), model(), **{"sigma": 1.0, **options})  # type: ignore[arg-type]


def test_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="on the same items, found 24 and 3"):
        duel(model(), Evaluations(lambda sigma, seed, items: [1.0 for _ in items], 3), 1.0)


def curve_of(scale: float, seeds: int = 16) -> BasinCurve:
    return curve(model(scale), [0.1, 0.2, 0.4, 0.8, 1.6, 3.2], list(range(seeds)))


def test_margins_twice_as_large_make_a_basin_twice_as_wide() -> None:
    found = width_ratio(curve_of(1.0), curve_of(2.0), resamples=300)
    # Exactly 2 along the same directions, since the grid doubles as well.
    assert found.value == pytest.approx(2)
    assert found.spread == pytest.approx((2, 2))


def test_a_ratio_has_an_interval_that_is_mirrored_by_exchange() -> None:
    found = width_ratio(curve_of(1.0), curve_of(1.3), resamples=300)
    turned = width_ratio(curve_of(1.3), curve_of(1.0), resamples=300)
    assert found.spread.low < found.value < found.spread.high
    assert found.spread.low < 1.3 < found.spread.high
    assert turned.value == pytest.approx(1 / found.value)
    assert turned.spread == pytest.approx((1 / found.spread.high, 1 / found.spread.low), rel=1e-3)


def test_curves_along_other_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="give both the same distances and the same directions"):
        width_ratio(curve_of(1.0), curve_of(1.0, 15))


def test_few_directions_and_narrow_grids_have_no_interval() -> None:
    with pytest.raises(NotMeasurable, match="needs at least 5, found 4"):
        width_ratio(curve_of(1.0, 4), curve_of(2.0, 4))
    with pytest.raises(NotMeasurable, match="a width lies beyond the grid; take distances further in or further out"):
        width_ratio(curve_of(1.0), curve_of(100.0))
