"""What must be minded before a measurement of basins is believed."""

from __future__ import annotations

import pytest

from holdfast.core.basin import BasinMeasurement
from holdfast.report.basin.caveats import caveats
from holdfast.report.basin.seen import seen


def notes(measurement: BasinMeasurement) -> str:
    return "\n".join(caveats(seen(measurement)))


def with_curves(measurement: BasinMeasurement, **changes: object) -> BasinMeasurement:
    curves = tuple(curve.model_copy(update=changes) for curve in measurement.curves)
    return measurement.model_copy(update={"curves": curves})


@pytest.mark.parametrize(
    ("directions", "told"),
    [
        (1, "One random direction: the curves have no band, and another direction may look otherwise."),
        (4, "Only 4 random directions: bands are too narrow; 16 or more mean something."),
        (16, None),
    ],
)
def test_few_directions_are_told(build, directions: int, told: str | None) -> None:
    found = notes(build(directions=directions))
    assert ("random direction" in found) == (told is not None)
    assert told is None or told in found


def test_single_directions_have_no_band_and_a_worse_one_may_exist(build) -> None:
    assert (
        "A single direction each, so without a band: worst and toward final. A worse direction than the one that was "
        "found may exist."
    ) in notes(build(tuned={"/runs/final": (0.001, 1.0)}))
    assert "worse direction" not in notes(build(tuned={"/runs/final": (0.001, 1.0)}, worst=False))


def test_likelihoods_have_no_basin(build) -> None:
    found = notes(build(smooth=("sums",)))
    assert "Scores of “sums” are likelihoods, along which everything falls smoothly: there is no basin" in found


@pytest.mark.parametrize(
    ("noise", "told"),
    [
        (0.05, "Asked twice, the untouched model answers up to 5.0% of the items of “sums” otherwise"),
        (None, "The untouched model was asked once about “sums”: its own noise is not known."),
    ],
)
def test_the_noise_of_the_untouched_model_is_told(build, noise: float | None, told: str) -> None:
    quiet = build()
    assert "untouched model" not in notes(quiet)
    assert told in notes(with_curves(quiet, self_noise=noise))


def test_few_items_are_told(build) -> None:
    assert "Few items of “sums” (the fewest 8): this holds for them, not for the ability." in notes(build(items=8))
    assert "Few items" not in notes(build(items=50))


def test_a_width_without_an_end_has_its_reason(view) -> None:
    assert "The width of “chronicle”: after 10 distances none was found outside: start further out." in caveats(view)


def test_a_score_that_rises_again_is_told(build) -> None:
    assert "The mean score of “sums” rises again further out" in notes(with_curves(build(), rises=((0.01, 0.02),)))


def test_items_that_are_answered_alike_are_told_only_where_they_are(build) -> None:
    assert "Items of “sums” that share a direction are answered alike" in notes(build())
    assert "answered alike" not in notes(build(spread=0.0, directions=2))


def test_noise_lost_to_rounding_is_told_where_it_is_much(view, one) -> None:
    assert "Rounding to the type of the weights swallowed up to 62% of the noise (at sigma 0.0003)" in "\n".join(
        caveats(view)
    )
    assert not any("Rounding" in line for line in caveats(one))


def test_a_fine_tune_without_random_moves_as_far_is_told(build) -> None:
    found = build(tuned={"/runs/final": (0.001, 1.0)})
    verdicts = tuple(each.model_copy(update={"matched": None}) for each in found.verdicts)
    assert "No random move of the same length was asked beside final." in notes(
        found.model_copy(update={"verdicts": verdicts})
    )


def test_the_notes_of_a_measurement_come_first(view) -> None:
    assert caveats(view)[0] == "The worst direction was sought on training examples, 30 steps."
