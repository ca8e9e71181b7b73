"""Paths, their points, and what is taken from the records."""

from __future__ import annotations

import pytest

from holdfast.report.rewinding.records import records_of
from holdfast.report.rewinding.ways import TRAJECTORY, kept_unseen, rewound


def test_base_chosen_point_and_end_are_found_on_the_first_path(view) -> None:
    assert [each.t for each in (view.base, view.chosen, view.final)] == [0.0, 0.5, 1.0]
    assert view.inside
    assert [way.name for way in view.ways] == ["own", "dense", TRAJECTORY]
    assert [way.evaluations for way in view.ways] == [4, 3, 3]


def test_chosen_point_and_end_have_the_intervals_that_the_search_recorded(view) -> None:
    assert view.chosen.standing.gain.spread == (0.66, 0.91)
    assert view.final.standing.forgetting.spread == (0.4, 0.6)
    assert view.chosen.standing.target == pytest.approx(0.8)


def test_a_chosen_base_differs_from_itself_by_nothing(build) -> None:
    standing = rewound(build(0.0)).chosen.standing
    assert standing.gain.spread == standing.forgetting.spread == (0, 0)


@pytest.mark.parametrize(("step", "beyond"), [(1.0, False), (1.0000001, False), (1.1, True)])
def test_a_point_farther_than_the_end_is_beyond_and_rounding_is_not(build, step: float, beyond: bool) -> None:
    view = rewound(build(steps={0.75: step}))
    assert view.ways[0].places[3].beyond is beyond


def test_a_text_beside_graded_tasks_has_no_part_in_the_mean(view) -> None:
    assert kept_unseen(view) == ("tales",)


def test_the_test_items_are_held_against_the_base_on_the_same_items(view) -> None:
    assert view.tested.chosen.gain.value == pytest.approx(0.7)
    assert view.tested.gain_kept.value == pytest.approx(1.0)
    assert view.tested.recovered.value == pytest.approx(0.35)


def test_a_point_with_many_digits_is_found_among_test_scores(build) -> None:
    t = 0.123456789
    points = [(0.0, 0.0, 1.0), (t, 0.4, 1.0), (1.0, 0.8, 0.5)]
    view = rewound(build(t, points, test={0.0: (0.0, 1.0), t: (0.5, 0.8), 1.0: (0.7, 0.5)}))
    assert view.tested.chosen.target == pytest.approx(0.5)


def test_without_test_items_there_is_nothing_to_say_of_them(build) -> None:
    assert rewound(build()).tested is None


def test_records_hold_what_the_search_found_and_every_point_of_every_path(view) -> None:
    found = records_of(view)
    assert found[: len(view.found.records)] == list(view.found.records)
    by_name = {(each.subject, each.quantity, each.site): each for each in found}
    assert by_name["dense/0.4", "gain", ""].value == pytest.approx(0.6)
    assert by_name["dense/0.4", "change", "facts"].value == pytest.approx(-0.1)
    assert by_name["training trajectory/0.6", "step_frac", ""].value == 1.1
    assert by_name["own/0.5", "kl_from_base", ""].value == pytest.approx(0.1)
    assert by_name["chosen/test", "forgetting", ""].value == pytest.approx(0.15)
    assert len(by_name) == len(found)


def test_a_record_of_what_is_undefined_holds_the_reason(build) -> None:
    found = records_of(rewound(build(keep=(), text=None)))
    (record,) = (each for each in found if (each.subject, each.quantity) == ("own/0.25", "forgetting"))
    assert record.reason == "undefined: forgetting needs a benchmark with the role 'keep', and there is none"
