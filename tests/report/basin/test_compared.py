"""Two models on the same items and along the same directions."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.metrics.basin.pairing import width_ratio
from holdfast.report.basin.compared import compared, compared_ledger, wider_line
from holdfast.report.basin.seen import RANDOM, seen


def test_a_basin_twice_as_wide_is_found_to_be(before, view) -> None:
    pairs = {each.ability: each for each in compared(before, view)}
    assert list(pairs) == list(view.abilities)
    found = pairs["sums"].ratio
    assert found == width_ratio(before.curve("sums", RANDOM), view.curve("sums", RANDOM))
    assert 1.8 < found.value < 2.2
    assert found.spread[0] > 1.5


def test_what_is_kept_more_is_paired_over_directions_and_held_against_each_base(build) -> None:
    """The same curve, but for a base that scores more, has lost more by as much."""
    plain = build()
    better = tuple(curve.model_copy(update={"base": curve.base + 0.05}) for curve in plain.curves)
    (pair,) = compared(seen(build({"sums": 0.002})), seen(plain.model_copy(update={"curves": better})))
    one, other = pair.before, pair.after
    assert pair.gaps[0].value == pytest.approx(-0.05, abs=0.01)
    for gap, first, second in zip(pair.gaps, one.levels, other.levels, strict=True):
        by_hand = [
            (one.base - early) - (other.base - late) for early, late in zip(first.scores, second.scores, strict=True)
        ]
        assert gap.value == pytest.approx(np.mean(by_hand))
        assert gap.spread[0] <= gap.value <= gap.spread[1]


def test_the_line_claims_a_change_only_where_an_interval_leaves_out_one(before, view) -> None:
    line = wider_line(compared(before, view), "adamw")
    assert line.startswith("Against adamw, basins are so many times as wide, along the same directions: that of “")
    assert "no change is claimed" not in line
    alike = wider_line(compared(view, view), "itself")
    assert "that of “sums” 1 times [1, 1]" in alike
    assert alike.endswith("; no interval leaves out 1, so no change is claimed.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"items": 50}, "undefined: 50 items of one model and 60 of the other were asked"),
        ({"directions": 8}, "undefined: the distances or the directions of the two are not the same"),
        ({"coordinates": 5}, "undefined: the noise moves 5 coordinates of one model and 640,000 of the other"),
    ],
)
def test_what_cannot_be_paired_is_not(build, one, change: dict[str, int], reason: str) -> None:
    (pair,) = compared(seen(build(**change)), one)
    assert (pair.ratio, pair.reason, pair.gaps) == (None, reason, ())
    (row,) = compared_ledger((pair,)).rows
    assert [(cell.main, cell.tip) for cell in row.cells[-2:]] == [("–", reason), ("–", reason)]
    assert wider_line((pair,), "other") is None


def test_a_width_beyond_the_grid_has_no_ratio_and_yet_gaps(build, one) -> None:
    (pair,) = compared(seen(build({"sums": 4.0})), one)
    assert pair.ratio is None
    assert pair.reason.startswith("undefined: a width lies beyond the grid")
    assert min(gap.value for gap in pair.gaps) < -0.5


def test_a_single_direction_has_no_gaps(build) -> None:
    alone = seen(build(directions=1))
    (pair,) = compared(alone, alone)
    assert pair.gaps == ()
    assert pair.reason == "undefined: an interval over directions needs at least 5, found 1"


def test_abilities_of_one_model_alone_are_left_out(build, one) -> None:
    assert compared(seen(build({"other": 0.004})), one) == ()
    assert compared_ledger(()) is None


def test_the_table_tells_both_models_and_the_widest_gap(before, view) -> None:
    table = compared_ledger(compared(before, view))
    row = next(row for row in table.rows if row.name == "sums")
    shown = [cell.main for cell in row.cells]
    assert shown[:4] == ["0.900", "0.900", "0.00076 to 0.001", "0.00152 to 0.002"]
    assert shown[6].endswith("\N{MULTIPLICATION SIGN}")
    assert shown[7].startswith("+0.")
    assert row.cells[7].below[1].startswith("at sigma ")
