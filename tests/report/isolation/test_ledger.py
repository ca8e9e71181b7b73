"""The table has a row for everybody who holds scalars, and a reason where there is no number."""

from __future__ import annotations

import pytest

from holdfast.report.isolation.ledger import brief_seconds, ledger_of
from holdfast.report.isolation.phrases import percent
from holdfast.report.isolation.readings import Drift, Reading


def cells(drift: Drift) -> dict:
    found = ledger_of([drift])
    (row,) = found.rows
    return {column.title: cell for column, cell in zip(found.columns, row.cells, strict=True)}


def test_numbers_are_means_over_seeds_with_the_least_and_the_largest(course) -> None:
    drift = Drift("epi", {seed: Reading(course("drift", draw=seed)) for seed in (1, 2)})
    found = cells(drift)
    one, other = (reading.ends_jaccard for reading in drift.readings.values())
    cell = found["first and last"]
    assert cell.order == pytest.approx((one + other) / 2)
    assert cell.below == (f"{percent(min(one, other))} to {percent(max(one, other))}",)
    assert cell.tip == f"2 seeds\nseed 1: {percent(one)}\nseed 2: {percent(other)}"
    assert (found["of eligible"].main, found["of all"].main) == ("1.0%", "0.50%")
    assert (found["number"].main, found["number"].below) == ("10", ("steps 20 to 200",))
    assert found["chance"].main == "0.50%" and found["chance"].below[0].endswith(" spread alike")
    assert found["a choice"].main == "24 ms" and found["memory"].main == "59 KiB"


def test_who_chose_once_has_reasons_instead_of_overlaps(course) -> None:
    found = cells(Drift("static", {1: Reading(course("drift", choices=1))}))
    assert found["number"].below == ("step 20",)
    for title in ("let go", "neighbours", "first and last"):
        assert (found[title].main, found[title].order) == ("–", None)
        assert found[title].tip == "needs two choices that hold something"


def test_choices_that_are_not_on_record_are_counted(course) -> None:
    found = cells(Drift("epi", {1: Reading(course("drift").model_copy(update={"choices": 40}))}))
    assert (found["number"].main, found["number"].below) == ("40", ("steps 20 to 200", "10 on record"))


def test_who_never_chose_has_reasons_everywhere(course) -> None:
    found = cells(Drift("epi", {1: Reading(course("drift", choices=0))}))
    assert found["number"].main == "0"
    for title in ("of eligible", "of all", "a choice"):
        assert (found[title].main, found[title].tip) == ("–", "nothing was chosen")
    assert found["chance"].tip == "the last choice holds nothing"


def test_controls_are_named_below_their_names(course) -> None:
    rows = ledger_of([Drift("a", {1: Reading(course("random"))}), Drift("b", {1: Reading(course("drift"))})]).rows
    assert [(row.name, row.below) for row in rows] == [("a", "random control"), ("b", "")]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00123, "1.2 ms"), (0.0246, "25 ms"), (0.52, "0.52 s"), (130, "130 s")]
)
def test_times_have_two_digits_that_count(seconds: float, text: str) -> None:
    assert brief_seconds(seconds) == text
