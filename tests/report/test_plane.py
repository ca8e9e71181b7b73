"""Where dots, intervals, paths and the frontier lie on the plane."""

from __future__ import annotations

import pytest

from holdfast.report.course import course_of
from holdfast.report.plane import plane_of


def test_intervals_are_those_of_gain_and_forgetting_laid_from_the_base(small) -> None:
    plane = plane_of(small)
    for dot in plane.dots:
        low, high = dot.point.forgetting_interval
        assert dot.kept_span == pytest.approx((plane.base.kept - high, plane.base.kept - low))
        assert dot.kept == pytest.approx(plane.base.kept - dot.point.forgetting)
        assert dot.target == pytest.approx(plane.base.target + dot.point.gain)


def test_entrants_without_a_result_have_no_dot(small) -> None:
    assert [dot.point.name for dot in plane_of(small).dots] == ["lora", "oft", "dora", "ia3", "full"]


def test_paths_start_at_the_base_and_have_a_place_for_every_checkpoint(small) -> None:
    plane = plane_of(small)
    for path in plane.paths.values():
        assert path[0] == (plane.base.kept, plane.base.target)
        assert len(path) == 4


def test_the_stairs_climb_to_the_left_and_no_ranked_dot_lies_beyond_them(small) -> None:
    plane = plane_of(small)
    for (kept, target), (next_kept, next_target) in zip(plane.stairs, plane.stairs[1:], strict=False):
        assert next_kept <= kept
        assert next_target >= target
    corners = plane.stairs[1::2]
    for dot in (plane.base, *plane.dots):
        if dot.point.ranked:
            assert any(kept >= dot.kept and target >= dot.target for kept, target in corners)
        if dot.point.on_frontier:
            assert (dot.kept, dot.target) in corners


def test_everything_lies_within_the_ranges(small) -> None:
    plane = plane_of(small)
    for dot in (plane.base, *plane.dots):
        assert plane.kept_range[0] < dot.kept_span[0] <= dot.kept_span[1] < plane.kept_range[1]
        assert plane.target_range[0] < dot.target_span[0] <= dot.target_span[1] < plane.target_range[1]


def test_a_base_alone_still_has_room_around_it(tell) -> None:
    plane = plane_of(tell())
    assert plane.kept_range[0] < plane.base.kept < plane.kept_range[1]


def test_the_course_starts_at_step_0_before_the_first_checkpoint(small) -> None:
    course = course_of(small)
    line = course.lines[0]
    assert line.steps == (0, 10, 20, 40)
    assert list(line.places) == sorted(line.places)
    assert list(course.ticks) == [0, 10, 20, 40]
    assert line.kept[0] == course.base_kept


def test_many_checkpoints_get_few_ticks_and_the_last_is_among_them(tell) -> None:
    curve = [{"step": step, "target": 0.1, "kept": 0.9} for step in range(5, 500, 5)]
    course = course_of(tell({"name": "lora", "curve": curve}))
    assert len(course.ticks) <= 10
    assert 495 in course.ticks
    assert course.base_kept is None


def test_without_checkpoints_there_is_no_course(tell) -> None:
    assert course_of(tell({"name": "lora"})).lines == ()
