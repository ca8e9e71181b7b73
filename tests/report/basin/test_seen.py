"""In which order a measurement is told, and what its fine-tunes and axes are called."""

from __future__ import annotations

import pytest

from holdfast.report.basin.grid import Grid, axis_id
from holdfast.report.basin.phrases import share_text, sigma_text
from holdfast.report.basin.scale import tick_sigmas, tick_text
from holdfast.report.basin.seen import reach_of, seen, short_names, sigmas_of


def test_the_narrowest_basin_comes_first_and_one_without_ends_where_its_curve_puts_it(view) -> None:
    assert view.abilities == ("refusals", "sums", "order", "two_hop_reasoning", "recall", "chronicle")


def test_directions_begin_with_random_and_worst_and_fine_tunes_from_the_nearest(view) -> None:
    assert [view.called(kind) for kind in view.directions] == [
        "random", "worst", "toward benign", "toward normal", "toward adversarial",
    ]  # fmt: skip
    assert len({look.colour for look in view.look.values()}) == 5


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["/runs/lora/final"], ["final"]),
        (["/runs/a", "/runs/b"], ["a", "b"]),
        (["/runs/benign/final", "/runs/normal/final"], ["benign", "normal"]),
        (["/x/one/seed-1/final", "/x/two/seed-2/final"], ["one/seed-1", "two/seed-2"]),
        (["/runs/final", "/runs/b/final"], ["/runs/final", "b"]),
        (["C:\\runs\\a\\final", "C:\\runs\\b\\final"], ["a", "b"]),
        (["org/a", "org/b"], ["org/a", "org/b"]),
        ([], []),
    ],
)
def test_fine_tunes_are_called_by_what_tells_them_apart(names: list[str], short: list[str]) -> None:
    assert list(short_names(names).values()) == short


def test_a_length_is_sigma_times_the_root_of_the_coordinates(one) -> None:
    assert one.length(0.002) == pytest.approx(1.6)
    assert "1.6" in tick_text(one, 0.002)


def test_an_axis_holds_every_distance(view, build) -> None:
    low, high = sigmas_of(view)
    assert low < 0.0003 < 0.05 < high
    with pytest.raises(ValueError, match="no distances to draw: the measurement holds neither curves nor widths"):
        sigmas_of(seen(build({})))
    assert reach_of([1.0]) == (0.8, 1.25)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.5, 200.0, (1, 10, 100)),
        (0.9, 11.0, (1, 3, 10)),
        (1e-7, 1.1e2, (1e-7, 1e-5, 1e-3, 1e-1, 1e1)),
        (1.1, 1.2, (1.1, 1.2)),
        (0.9, 5.2, (1, 2, 5)),
    ],
)
def test_ticks_are_round_and_neither_few_nor_many(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert tick_sigmas(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7])
def test_panels_lie_within_the_drawing_and_do_not_overlap(count: int) -> None:
    grid = Grid(count, 300)
    boxes = [(*grid.columns(place), *grid.rows(place, 40, 250)) for place in range(count)]
    assert all(0 <= left < right <= 1 and 0 <= foot < head <= 1 for left, right, foot, head in boxes)
    for n, one in enumerate(boxes):
        for other in boxes[:n]:
            apart = one[0] >= other[1] or other[0] >= one[1] or one[2] >= other[3] or other[2] >= one[3]
            assert apart
    assert grid.height == 300 * (-(-count // grid.across))


def test_the_first_axis_has_no_number() -> None:
    assert [axis_id("x", n) for n in (1, 2, 13)] == ["x", "x2", "x13"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.00123456, "0.00123"), (999.6, "1,000"), (999.4, "999"), (1264.3, "1,264"), (1e-7, "1e-07")]
)
def test_distances_have_three_digits(value: float, text: str) -> None:
    assert sigma_text(value) == text


@pytest.mark.parametrize(
    ("frac", "text"),
    [(0.0, "0%"), (1.0, "100%"), (0.62, "62%"), (0.024, "2.4%"), (0.0004, "0.04%"), (0.9996, "99.96%")],
)
def test_shares_are_told_from_none_and_all(frac: float, text: str) -> None:
    assert share_text(frac) == text
