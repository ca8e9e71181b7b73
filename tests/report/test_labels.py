"""Names beside dots neither cover one another nor leave the frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from holdfast.report.labels import Drawing, placed

FRAME = (1000.0, 560.0)


def boxes(dots, sizes, places) -> np.ndarray:
    middles = np.array([(x + p.right, y + p.down) for (x, y), p in zip(dots, places, strict=True)])
    half = np.array(sizes) / 2
    return np.concatenate([middles - half, middles + half], axis=1)


def overlaps(found: np.ndarray) -> int:
    count = 0
    for i in range(len(found)):
        for j in range(i):
            a, b = found[i], found[j]
            count += min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5
    return count


def test_a_plane_is_drawn_from_the_left_and_from_above() -> None:
    drawing = Drawing((0.2, 0.6), (-1.0, 1.0), FRAME)
    assert drawing.at(0.2, 1.0) == (0.0, 0.0)
    assert drawing.at(0.6, -1.0) == approx(FRAME)
    assert drawing.at(0.3, 0.5) == approx((250.0, 140.0))


def test_bars_cross_in_their_dot_and_are_as_thick_as_asked() -> None:
    drawing = Drawing((0.0, 1.0), (0.0, 1.0), (100.0, 100.0))
    flat, upright = drawing.cross((0.5, 0.4), (0.3, 0.6), (0.1, 0.8), half=2.0)
    assert flat == approx((30.0, 58.0, 60.0, 62.0))
    assert upright == approx((48.0, 20.0, 52.0, 90.0))


def test_a_lone_label_stands_to_the_right_of_its_dot() -> None:
    (place,) = placed([(500.0, 300.0)], [(60.0, 15.0)], [], FRAME)
    assert place.right > 30
    assert abs(place.down) < 1
    assert not place.led


def test_a_label_at_the_right_edge_goes_to_the_other_side() -> None:
    (place,) = placed([(990.0, 300.0)], [(60.0, 15.0)], [], FRAME)
    assert place.right < 0


def test_a_label_makes_way_for_a_bar() -> None:
    (place,) = placed([(500.0, 300.0)], [(60.0, 15.0)], [(400.0, 299.0, 600.0, 301.0)], FRAME)
    assert abs(place.down) > 8


def test_twenty_five_labels_in_a_crowd_do_not_cover_one_another() -> None:
    rng = np.random.default_rng(5)
    dots = [(float(x), float(y)) for x, y in rng.normal((500, 280), (150, 90), (25, 2))]
    sizes = [(60.0, 15.0)] * 25
    assert overlaps(boxes(dots, sizes, placed(dots, sizes, [], FRAME))) == 0


def test_labels_of_dots_on_one_spot_do_not_cover_one_another() -> None:
    dots, sizes = [(500.0, 300.0)] * 6, [(60.0, 15.0)] * 6
    assert overlaps(boxes(dots, sizes, placed(dots, sizes, [], FRAME))) == 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 560)), min_size=1, max_size=8))
def test_labels_stay_within_the_frame(dots) -> None:
    sizes = [(60.0, 15.0)] * len(dots)
    found = boxes(dots, sizes, placed(dots, sizes, [], FRAME))
    assert found[:, :2].min() > -1.0
    assert (found[:, 2:] < np.array(FRAME) + 1.0).all()


def test_nothing_to_name_needs_no_place() -> None:
    assert placed([], [], [], FRAME) == []
