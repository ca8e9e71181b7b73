"""Rivals at the step of the chosen point, against interpolation by hand."""

from __future__ import annotations

import pytest

from holdfast.report.rewinding.matched import crossed
from holdfast.report.rewinding.ways import rewound


def test_a_rival_is_taken_where_its_step_is_that_of_the_chosen_point(build, walked) -> None:
    rival = walked("dense", [(0.0, 0.0, 1.0), (0.4, 0.6, 0.9), (1.0, 0.8, 0.5)], {0.4: 0.2})
    (match,) = rewound(build(rivals=[rival])).by_step
    # The step 0.5 lies 3/8 of the way from the step 0.2 to the step 1.
    assert match.crossing.t == pytest.approx(0.4 + 3 / 8 * 0.6)
    assert match.standing.target == pytest.approx(0.6 + 3 / 8 * 0.2)
    assert match.standing.forgetting.value == pytest.approx(0.1 + 3 / 8 * 0.4)
    assert match.lead.value == pytest.approx(match.standing.target - 0.8)
    assert match.lost.value == pytest.approx(match.standing.forgetting.value - 0.1)
    assert match.lead.spread.low <= match.lead.value <= match.lead.spread.high


def test_a_rival_that_was_scored_there_is_not_interpolated(build, walked) -> None:
    (match,) = rewound(build(rivals=[walked("dense", [(0.0, 0.0, 1.0), (0.5, 0.7, 0.8), (1.0, 0.8, 0.5)])])).by_step
    assert match.crossing.t == 0.5
    assert match.standing.target == pytest.approx(0.7)


def test_a_path_that_is_there_more_than_once_is_taken_the_first_time(build, walked) -> None:
    wandering = walked(
        "checkpoints", [(0.0, 0.0, 1.0), (0.2, 0.6, 0.9), (0.6, 0.7, 0.8), (1.0, 0.8, 0.5)], {0.2: 0.8, 0.6: 0.3}
    )
    (match,) = rewound(build(rivals=[wandering])).by_step
    assert match.crossing.t == pytest.approx(0.2 * 0.5 / 0.8)


def test_a_path_that_never_comes_there_says_so(build, walked) -> None:
    short = walked("checkpoints", [(0.0, 0.0, 1.0), (1.0, 0.5, 0.9)], {1.0: 0.3})
    (match,) = rewound(build(rivals=[short])).by_step
    assert match.standing is None
    assert match.crossing.t is None
    assert match.crossing.reason == "this path never comes there: at most 0.300"


def test_what_was_not_measured_on_a_path_cannot_be_matched(build, walked) -> None:
    rival = walked("dense", [(0.0, 0.0, 1.0), (1.0, 0.8, 0.5)], text=None)
    (crossing,) = crossed({"dense": rival}, lambda point: point.kl_nats, build().chosen)
    assert crossing.reason == "not measured on this path"


def test_rivals_are_matched_by_kl_too_where_it_was_measured(build, walked) -> None:
    straight = [(0.0, 0.0, 1.0), (0.5, 0.8, 0.5), (1.0, 0.8, 0.5)]
    (match,) = rewound(build(rivals=[walked("dense", straight)])).by_kl
    # KL is 0.1 at the chosen point, and 0.5 at the rival's half.
    assert match.crossing.t == pytest.approx(0.5 * 0.1 / 0.5)
    assert rewound(build(rivals=[walked("dense", straight, text=None)], text=None)).by_kl == ()


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_at_the_ends_all_paths_are_the_same_and_nothing_is_matched(build, walked, t: float) -> None:
    view = rewound(build(t, rivals=[walked("dense", [(0.0, 0.0, 1.0), (1.0, 0.8, 0.5)])]))
    assert view.by_step == view.by_kl == ()
