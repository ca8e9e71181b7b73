"""The search for a width on models of which it is known: coverage, precision, what it asks for, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr

from holdfast.core.basin import BasinWidth
from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.metrics.basin.questions import SoftDrop, StrictShare
from holdfast.metrics.basin.sequential import Sprt
from holdfast.metrics.basin.width import WidthSearch, width

MARGINS = np.exp(0.3 * np.random.default_rng(0).standard_normal(40)) * np.where(np.arange(40) < 36, 1, -2)


def half_spaces(sigma: float, direction_seed: int, items: Sequence[int]) -> np.ndarray:
    """Items that are answered while margin + sigma z > 0, where z has a part that the items of a direction share."""
    drawn = np.random.default_rng(direction_seed).standard_normal(MARGINS.size + 1)
    noise = np.sqrt(0.1) * drawn[0] + np.sqrt(0.9) * drawn[1:]
    return (MARGINS + sigma * noise > 0)[list(items)].astype(float)


def drop(sigma: float) -> float:
    return float(((MARGINS > 0) - ndtr(MARGINS / sigma)).mean())


TRUTH = float(brentq(lambda sigma: drop(sigma) - 0.05, 0.01, 10))


def cliff(edge: float) -> Evaluations:
    """A model that answers everything up to an edge, and nothing beyond."""
    return Evaluations(lambda sigma, seed, items: [float(sigma <= edge) for _ in items], 6)


def test_the_interval_holds_the_width_and_is_as_narrow_as_asked_for() -> None:
    rng = np.random.default_rng(1)
    found = []
    for run in range(12):
        search = WidthSearch(ratio=2, most_directions=400, look_every=20, first_seed=run * 10**8)
        start = TRUTH * 2 ** rng.uniform(-1, 4)
        found.append(width(Evaluations(half_spaces, 40), start, SoftDrop(items_a_direction=8), search))
    # The error is 5 % at most; two misses of twelve have a chance of a tenth at that, and of a thousandth in fact.
    assert sum(not each.low <= TRUTH <= each.high for each in found if each.low and each.high) <= 1
    assert sum(each.reason is None for each in found) >= 10
    assert all(each.high / each.low <= 2 * 1.001 for each in found if each.reason is None and each.low and each.high)


def test_a_cliff_is_closed_in_on_from_either_side() -> None:
    for start in (0.001, 0.3, 0.7, 90.0):
        found = width(cliff(0.5), start)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= 0.5 < found.high <= 1.5 * found.low * 1.001
        assert found.reason is None


def test_being_far_outside_is_decided_with_few_directions() -> None:
    steps = width(cliff(0.5), 30.0).steps
    cost = {
        verdict: max(step.directions for step in steps if step.verdict == verdict) for verdict in ("inside", "outside")
    }
    assert [step.sigma for step in steps[:4]] == [30.0, 7.5, 1.875, 1.875 / 4]
    assert cost["outside"] <= 15
    assert cost["inside"] > 5 * cost["outside"]


def test_every_distance_has_directions_of_its_own() -> None:
    seeds: dict[float, set[int]] = {}

    def measure(sigma: float, seed: int, items: Sequence[int]) -> list[float]:
        seeds.setdefault(sigma, set()).add(seed)
        return [float(sigma <= 0.5) for _ in items]

    width(Evaluations(measure, 6), 3.0)
    levels = [seeds[sigma] for sigma in seeds if sigma]
    assert len(set.union(*levels)) == sum(map(len, levels))


def test_answers_are_counted_and_those_at_hand_are_not_asked_again() -> None:
    evaluations = cliff(0.5)
    first = width(evaluations, 2.0)
    assert first.scored_items == evaluations.scored_items == 6 + 4 * sum(step.directions for step in first.steps)
    again = width(evaluations, 2.0)
    assert again.scored_items == 0
    assert again.steps == first.steps


def test_a_strict_width_asks_whole_benchmarks() -> None:
    found = width(cliff(0.5), 2.0, StrictShare())
    assert found.low is not None
    assert found.low <= 0.5 < (found.high or 0)
    assert found.question == "share of at least 0.9 of directions that score as the base does"
    assert found.test == "Beta mixture, share of 0.9"
    inside = [step.directions for step in found.steps if step.verdict == "inside"]
    walds = width(cliff(0.5), 2.0, StrictShare(test=Sprt()))
    assert {step.directions for step in walds.steps if step.verdict == "inside"} == {56}
    assert min(inside) > 56
    assert walds.question.endswith("as the base does, outside once below 0.99")


def test_a_width_that_cannot_be_told_from_a_distance_is_closed_in_on_from_both_sides() -> None:
    def edge(sigma: float, seed: int, items: Sequence[int]) -> list[float]:
        # At sigma 1 the drop is just the tolerance, far below nothing, far beyond everything.
        lost = 0.0 if sigma < 0.99 else 0.05 if sigma < 1.01 else 1.0
        return (
            [float(np.random.default_rng([seed, item]).random() >= lost) for item in items]
            if sigma
            else [1.0] * len(items)
        )

    found = width(Evaluations(edge, 20), 1.0, SoftDrop(), WidthSearch(most_directions=200))
    assert found.steps[0].verdict == "undecided"
    assert (found.low, found.high) == pytest.approx((1.5**-0.5, 1.5**0.5))
    assert found.reason is None


@pytest.mark.parametrize(
    ("edge", "start", "reason"),
    [
        (1e-9, 1.0, "after 3 distances none was found inside: start further in"),
        (1e9, 1.0, "after 3 distances none was found outside: start further out"),
        (0.5, 30.0, "after 3 distances none was found inside"),
        (0.5, 1.0, "after 3 distances the interval is wider than asked for"),
    ],
)
def test_an_end_that_was_not_found_is_a_reason(edge: float, start: float, reason: str) -> None:
    found = width(cliff(edge), start, search=WidthSearch(most_steps=3, ratio=1.1))
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert len(found.steps) == 3
    assert edge == 0.5 or found.sigma is None


def test_too_few_directions_decide_nothing() -> None:
    found = width(cliff(0.5), 0.4, search=WidthSearch(most_steps=2, most_directions=1))
    assert found.reason == "after 2 distances none was decided: allow more directions than 1"
    assert {step.verdict for step in found.steps} == {"undecided"}


def test_a_hopeless_distance_is_given_up_after_a_quarter() -> None:
    def half(sigma: float, seed: int, items: Sequence[int]) -> list[float]:
        return [float(sigma == 0 or (seed + item) % 20 != 0) for item in items]

    search = WidthSearch(most_steps=1, most_directions=400)
    assert width(Evaluations(half, 20), 1.0, SoftDrop(items_a_direction=20), search).steps[0].directions == 100


def test_the_error_is_divided_among_the_steps() -> None:
    assert WidthSearch(level=0.9, most_steps=5).error == pytest.approx(0.02)


@pytest.mark.parametrize("start", [0.0, -1.0, np.nan])
def test_a_start_that_is_no_distance_is_refused(start: float) -> None:
    with pytest.raises(ValueError, match="sigma is the standard deviation of the noise, a finite number above 0"):
        width(cliff(0.5), start)


def test_a_base_that_cannot_lose_the_tolerance_is_refused() -> None:
    with pytest.raises(NotMeasurable, match=r"the model as it is scores 0, a guess 0, so that 0\.05 cannot be lost"):
        width(Evaluations(lambda sigma, seed, items: [0.0 for _ in items], 3), 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most_directions": 0}, "no directions asked"),
        ({"most_steps": 0}, "at least one step"),
        ({"ratio": 1.0}, "factors above 1, found ratio 1"),
        ({"factor": 0.5}, "factors above 1"),
        ({"level": 1.0}, "a confidence level lies strictly within 0 and 1"),
    ],
)
def test_searches_that_are_none_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WidthSearch(**options)  # type: ignore[arg-type]


def test_a_width_goes_to_disk_and_back() -> None:
    found = width(cliff(0.5), 2.0, ability="logic")
    assert BasinWidth.model_validate_json(found.model_dump_json()) == found
