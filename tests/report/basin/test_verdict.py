"""What a measurement of basins is said to have found."""

from __future__ import annotations

import pytest

from holdfast.core.basin import BasinMeasurement, BasinWidth
from holdfast.core.record import Record
from holdfast.report.basin.seen import seen
from holdfast.report.basin.verdict import headline, level_with, verdict_of


def said(measurement) -> str:
    return "\n".join(verdict_of(seen(measurement)))


def with_width(measurement, **changes):
    """The same, with other ends of its widths."""
    widths = tuple(width.model_copy(update=changes) for width in measurement.widths)
    return measurement.model_copy(update={"widths": widths})


def with_verdicts(measurement, **changes):
    """The same, with other facts about its fine-tunes."""
    verdicts = tuple(each.model_copy(update=changes) for each in measurement.verdicts)
    return measurement.model_copy(update={"verdicts": verdicts})


def lost(value: float, low: float, high: float) -> Record:
    return Record(subject="tuned", quantity="drop", site="sums", value=value, unit="frac", spread=(low, high))


def test_the_headline_says_what_breaks_first_and_what_was_left(view) -> None:
    assert headline(view) == (
        "Of those whose width is known, “refusals” breaks first under random moves, between sigma 0.000798 and "
        "0.00105; normal left 3 of 6 basins and adversarial left 5 of 6 basins"
    )


def test_a_single_ability_breaks_where_its_width_lies(one) -> None:
    assert headline(one) == "Under random moves “sums” breaks between sigma 0.00152 and 0.002"
    assert verdict_of(one)[0] == (
        "Along random directions the basin of “sums” ends between sigma 0.00152 and 0.002, a length of 1.22 to 1.6 "
        "(mean drop of at most 0.05; at least 95% sure)."
    )


def test_an_end_that_was_not_found_is_not_made_up(build) -> None:
    beyond = with_width(build(), high=None, reason="after 10 distances none was found outside: start further out")
    assert headline(seen(beyond)) == "Under random moves “sums” breaks above sigma 0.00152"
    assert "ends above sigma 0.00152, a length of 1.22 (" in said(beyond)
    before = with_width(build(), low=None, reason="after 10 distances none was found inside: start further in")
    assert headline(seen(before)) == "Under random moves “sums” breaks below sigma 0.002"


def test_no_width_at_all_is_said_with_its_reason(build) -> None:
    found = build(reasons={"sums": "after 10 distances none was decided: allow more directions than 800"})
    assert headline(seen(found)) == "No width was found of the basin of “sums”"
    assert said(found).startswith("Of “sums” no width is known: after 10 distances none was decided: allow more")


def test_a_measurement_without_anything_says_so(build) -> None:
    found = build({})
    assert headline(seen(found)) == "No width was found of the basin of any ability"
    assert verdict_of(seen(found)) == ()


def test_widths_whose_intervals_overlap_are_not_ranked(build) -> None:
    found = seen(build({"sums": 0.004, "order": 0.0045, "recall": 0.011}))
    assert level_with(found) == ("order",)
    assert headline(found) == (
        "“sums” and “order” cannot be told apart in width; “sums” breaks between sigma 0.00152 and 0.002"
    )
    assert "The intervals of “sums” and “order” overlap: which of them breaks first is not known." in verdict_of(found)


def test_widths_that_only_touch_are_ranked() -> None:
    common = {"question": "q", "test": "t", "level": 0.95, "steps": (), "scored_items": 1}
    widths = (
        BasinWidth(ability="a", low=0.1, high=0.2, **common),
        BasinWidth(ability="b", low=0.2, high=0.3, **common),
    )
    found = BasinMeasurement(
        base="b", base_identity="i", space="all weights", coordinates=4, hash_before="h", hash_after="h", widths=widths
    )
    assert level_with(seen(found)) == ()
    assert headline(seen(found)) == "“a” breaks first under random moves, between sigma 0.1 and 0.2"


def test_an_ability_without_a_width_may_be_narrower_still(view) -> None:
    assert "Of “chronicle” no width is known: it may be narrower still, or wider." in verdict_of(view)


def test_the_worst_direction_stands_beside_random_ones_with_its_single_direction(view) -> None:
    (line,) = (line for line in verdict_of(view) if line.startswith("The worst"))
    assert line.startswith("The worst direction that was found (one, so without an interval) breaks “refusals”, “sums”")
    assert "before sigma 0.0003; “recall” at sigma 0.000413, 11.6 times nearer than random ones;" in line
    assert line.endswith("Read off the curves.")


def test_a_worst_direction_that_breaks_nothing_is_told_with_how_far_it_was_followed(build) -> None:
    found = build({"sums": 4.0})
    assert "breaks “sums” not before sigma 0.05. Read off the curves." in said(found)


def test_a_fine_tune_is_told_with_its_distance_its_basins_and_its_loss(view) -> None:
    assert [line for line in verdict_of(view) if line.startswith("Fine-tune")] == [
        "Fine-tune benign, at sigma 0.0007 (length 0.56): inside the basin of all 6 abilities. It lost nothing that "
        "was measured; random moves as far lost 0.000.",
        "Fine-tune normal, at sigma 0.003 (length 2.4): outside the basin of “refusals”, “sums” and “order”; inside "
        "the basin of “two_hop_reasoning”, “recall” and “chronicle”. It lost most of “refusals”, 0.450 [0.300, 0.600]; "
        "random moves as far lost 0.402 [0.292, 0.506].",
        "Fine-tune adversarial, at sigma 0.0055 (length 4.4): outside the basin of “refusals”, “sums”, “order”, "
        "“two_hop_reasoning” and “recall”; not known whether outside that of “chronicle”. It lost most of "
        "“two_hop_reasoning”, 0.683 [0.550, 0.800]; random moves as far lost 0.237 [0.156, 0.327].",
    ]


@pytest.mark.parametrize(
    ("verdict", "drop", "told"),
    [
        ("inside", lost(0.3, 0.2, 0.4), "Though inside by its distance, final lost more than 0.05 of “sums”"),
        ("outside", lost(0.01, -0.02, 0.05), "Though outside by its distance, final lost no more than 0.05 of “sums”"),
        ("inside", lost(0.3, 0.05, 0.4), None),
        ("outside", lost(0.01, -0.02, 0.06), None),
        ("undecided", lost(0.3, 0.2, 0.4), None),
    ],
)
def test_a_distance_and_a_loss_that_disagree_are_told(build, verdict: str, drop: Record, told: str | None) -> None:
    found = with_verdicts(build(tuned={"/runs/final": (0.001, 1.0)}), verdict=verdict, drop=drop)
    assert ("Though" in said(found)) == (told is not None)
    assert told is None or told in said(found)


@pytest.mark.parametrize(
    ("sigma", "told"),
    [
        (0.0007, "; the fine-tune stayed inside"),
        (0.0018, "; whether the fine-tune left is open"),
        (0.003, "; final left that of “sums”"),
    ],
)  # fmt: skip
def test_a_lone_fine_tune_stays_leaves_or_is_open(build, sigma: float, told: str) -> None:
    assert headline(seen(build(tuned={"/runs/final": (sigma, 1.0)}))).endswith(told)


def test_the_headline_does_not_call_safe_what_lost_without_going_far(build) -> None:
    one = with_verdicts(build(tuned={"/runs/final": (0.001, 1.0)}), verdict="inside", drop=lost(0.3, 0.2, 0.4))
    assert headline(seen(one)).endswith("; the fine-tune did not go as far, and lost more than 0.05 all the same")
    both = build(tuned={"/runs/a": (0.0006, 1.0), "/runs/b": (0.0007, 1.0)})
    first, *others = both.verdicts
    broken = (first.model_copy(update={"drop": lost(0.3, 0.2, 0.4)}), *others)
    said_of_both = headline(seen(both.model_copy(update={"verdicts": broken})))
    assert said_of_both.endswith("; no fine-tune went as far, and 1 of 2 lost more than 0.05 all the same")
    assert headline(seen(both)).endswith("; no fine-tune left a basin")


def test_many_fine_tunes_that_left_are_counted(build) -> None:
    tuned = {f"/runs/{n}": (0.003 + n / 1e4, 1.0) for n in range(5)}
    assert headline(seen(build(tuned=tuned))).endswith("; 5 of 5 fine-tunes left a basin")


def test_certificates_are_counted_with_their_vacuous_ones(view, build) -> None:
    (line,) = (line for line in verdict_of(view) if "certificate" in line)
    assert line.startswith("18 of 30 certificates are vacuous. The one that keeps most: under noise on B of an adapter")
    assert line.endswith("It bounds the model under noise, never the fine-tune itself.")
    every = build(certified=True)
    vacuous = tuple(each.model_copy(update={"radius": None, "strong": 0.2}) for each in every.certificates[:1])
    alone = every.model_copy(update={"certificates": vacuous})
    assert "The certificate is vacuous: of a fine-tune that is not yet seen nothing is guaranteed." in said(alone)
