"""What a rewinding is said to have found."""

from __future__ import annotations

import pytest

from holdfast.core.rewinding import CHOSEN, UNSEEN
from holdfast.report.rewinding.verdict import headline, verdict_of
from holdfast.report.rewinding.ways import rewound

REASON = "undefined: a share of the final forgetting, -0.0100, which is not above 0"


def said(found) -> str:
    return "\n".join(verdict_of(rewound(found)))


def test_the_headline_says_where_to_what_it_keeps_and_what_it_undoes(view) -> None:
    assert headline(view) == (
        "Rewind to 0.5: keeps 97% [94, 100] of the gain and undoes 64% [57, 72] of what was forgotten"
    )


def test_the_end_is_an_answer(build) -> None:
    found = build(1.0, verdict="do not rewind: no overshoot found")
    assert headline(rewound(found)) == "Do not rewind"
    assert said(found).startswith(
        "The finished checkpoint, the end of the path “own”, is chosen: target score 0.800, 0.000 at the base; "
        "forgetting 0.100 [0.040, 0.160]."
    )


def test_the_base_is_an_answer(build) -> None:
    found = build(0.0, verdict="this update does not help")
    assert headline(rewound(found)) == "This update does not help"
    assert said(found).startswith(
        "The base itself is chosen on the path “own”: the finished checkpoint has a target score of 0.800 instead of "
        "0.000, a gain of 0.800 [0.660, 0.910]; its forgetting is 0.500 [0.400, 0.600]."
    )


def test_an_update_that_gains_and_costs_too_much_is_told_from_one_that_does_not_help(build) -> None:
    verdict = "this update gains, but no point of it is better than the base under weighted(9)"
    assert headline(rewound(build(0.0, verdict=verdict))) == verdict.replace("this", "This")


def test_a_share_without_an_interval_stands_alone(build) -> None:
    found = build(records={(CHOSEN, "recovered_share"): (0.64, None)})
    assert headline(rewound(found)).endswith("and undoes 64% of what was forgotten")


def test_where_a_share_is_undefined_the_difference_is_told(build) -> None:
    found = build(
        records={
            (CHOSEN, "recovered_share"): (REASON, None),
            (CHOSEN, "recovered"): (-0.01, (-0.03, 0.02)),
            (CHOSEN, "gain_kept"): (REASON, None),
        }
    )
    assert headline(rewound(found)) == (
        "Rewind to 0.5: gains 0.800 [0.660, 0.910] and forgetting changes by +0.010 [-0.020, 0.030]"
    )


def test_where_nothing_was_to_be_kept_nothing_is_said_of_it(build) -> None:
    none = {(CHOSEN, quantity): ("nothing was kept", None) for quantity in ("recovered", "recovered_share")}
    found = build(keep=(), text=None, records=none)
    assert headline(rewound(found)).endswith("nothing is known of what was forgotten")
    assert "on 40 validation items of sums;" in said(found)


def test_the_rule_the_items_and_the_evaluations_are_named(view) -> None:
    assert verdict_of(view)[1] == (
        "Chosen by keep_gain(0.95) among 5 points, on 40 validation items of sums and 82 of 3 tasks to be kept; "
        "4 evaluations on this path and 6 on other paths, the base not counted."
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("undecided: few", "Whether the finished checkpoint overshot is undecided: few."),
        ("the finished model overshot: at t = 0.5", "The finished model overshot: at t = 0.5."),
        ("undefined: too few items", "Whether the finished checkpoint overshot is undefined: too few items."),
    ],
)  # fmt: skip
def test_whether_it_overshot_is_a_sentence_of_its_own(build, found: str, told: str) -> None:
    assert verdict_of(rewound(build(overshoot=found)))[2] == told


def test_items_that_did_not_choose_give_the_honest_estimate(view) -> None:
    assert verdict_of(view)[3] == (
        "On items that did not choose (half of them chooses, the other half tells): gain 0.760 [0.600, 0.900], "
        "-0.040 [-0.100, 0.020] against the end; forgetting 0.120 [0.050, 0.200], -0.380 [-0.490, -0.270] against the "
        "end."
    )


def test_too_few_items_to_split_are_a_reason(build) -> None:
    found = build(records={(UNSEEN, "gain"): ("undefined: a cross-fit needs at least 4 items of every task", None)})
    assert (
        "Of items that did not choose nothing can be said: undefined: a cross-fit needs at least 4 items of every task."
        in said(found)
    )


def test_test_items_are_told_apart(view) -> None:
    (line,) = (line for line in verdict_of(view) if line.startswith("On test items"))
    assert line.startswith("On test items, which took no part in the choice (40 of the target): gain 0.700 [")
    assert "], 100% of the final gain; forgetting 0.150 [" in line
    assert ", -0.350 [" in line


def test_test_items_of_an_end_are_told_of_the_finished_checkpoint(build) -> None:
    found = build(1.0, test={0.0: (0.0, 1.0), 1.0: (0.7, 0.5)})
    (line,) = (line for line in verdict_of(rewound(found)) if line.startswith("On test items"))
    assert ": the finished checkpoint gains 0.700 [" in line


def test_rivals_are_compared_as_far_from_the_base_or_a_reason_is_given(build, walked) -> None:
    straight = walked("dense", [(0.0, 0.0, 1.0), (0.5, 0.7, 0.9), (1.0, 0.8, 0.5)])
    short = walked("additive", [(0.0, 0.0, 1.0), (1.0, 0.5, 0.9)], {1.0: 0.3})
    text = said(build(rivals=[straight, short]))
    assert (
        "As far from the base as the chosen point, the path “dense” differs from it in target score by -0.100 [" in text
    )
    assert "The path “additive” cannot be compared at that step: this path never comes there: at most 0.300." in text
