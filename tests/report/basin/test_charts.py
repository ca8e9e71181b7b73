"""The charts of the page: curves with bands, where fine-tunes stand, and two models side by side."""

from __future__ import annotations

import re

import pytest

from holdfast.report.basin.compared import compared
from holdfast.report.basin.compared_chart import compared_chart
from holdfast.report.basin.curve_chart import about, curve_chart, shaded
from holdfast.report.basin.seen import RANDOM, WORST, seen
from holdfast.report.basin.strip_chart import INSIDE, OPEN, OUTSIDE, stretches, strip_chart
from holdfast.report.palette import SHADE


def plain(text: str) -> list[str]:
    return re.sub("<span[^>]*>|</span>", "", text).split("<br>")


def test_a_panel_holds_a_line_a_direction_and_a_band_for_random_ones(one) -> None:
    figure = curve_chart(one)
    lines = {trace["name"]: trace for trace in figure["data"] if "name" in trace}
    assert set(lines) == {"random", "worst"}
    random = one.curve("sums", RANDOM)
    assert lines["random"]["x"] == [level.sigma for level in random.levels]
    assert lines["random"]["y"] == [level.mean for level in random.levels]
    (band,) = (trace for trace in figure["data"] if trace.get("fill") == "toself")
    lows = [level.band[0] for level in random.levels]
    highs = [level.band[1] for level in random.levels]
    assert band["y"] == [*lows, *reversed(highs)]
    (share,) = (trace for trace in figure["data"] if trace.get("fill") == "tozeroy")
    assert share["y"] == [level.strict_share for level in random.levels]
    assert (share["xaxis"], share["yaxis"]) == ("x2", "y2")


def test_the_axis_is_in_ratios_with_the_length_below_sigma(one) -> None:
    axis = curve_chart(one)["layout"]["xaxis2"]
    assert (axis["type"], axis["matches"]) == ("log", "x")
    assert plain(axis["ticktext"][0]) == ["0.0003", "0.24"]


def test_the_base_what_may_be_lost_a_guess_and_the_width_are_marked(one) -> None:
    shapes = curve_chart(one)["layout"]["shapes"]
    (field,) = (shape for shape in shapes if shape["type"] == "rect")
    assert (field["x0"], field["x1"]) == pytest.approx((0.00152, 0.002))
    heights = [shape["y0"] for shape in shapes if shape["type"] == "line"]
    assert heights == pytest.approx([one.curve("sums", RANDOM).base, one.curve("sums", RANDOM).base - 0.05, 0.25])


def test_every_ability_has_a_panel_and_every_fine_tune_a_mark_and_a_control_in_it(view) -> None:
    figure = curve_chart(view)
    assert len([note for note in figure["layout"]["annotations"] if note["text"].startswith("<b>")]) == 6
    marks = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    assert len(marks) == 6 * 3 * 2
    base = view.curve("refusals", RANDOM).base
    each = view.verdict("refusals", "/runs/normal/final")
    (mark,) = (
        trace
        for trace in marks
        if trace["x"] == [each.sigma] and trace["yaxis"] == "y" and trace["marker"]["symbol"] == "diamond"
    )
    assert mark["y"] == pytest.approx([base - each.drop.value])
    low, high = each.drop.spread
    assert mark["error_y"]["array"] == pytest.approx([each.drop.value - low])
    assert mark["error_y"]["arrayminus"] == pytest.approx([high - each.drop.value])


def test_a_single_random_direction_has_no_band(build) -> None:
    assert not [trace for trace in curve_chart(seen(build(directions=1)))["data"] if trace.get("fill") == "toself"]


def test_without_curves_there_is_no_chart(build) -> None:
    assert curve_chart(seen(build({}))) is None
    assert strip_chart(seen(build({}))) is None


def test_a_pointer_on_a_distance_tells_all_about_it(one) -> None:
    curve = one.curve("sums", RANDOM)
    lines = plain(about(one, curve, curve.levels[4]))
    assert lines[:2] == ["<b>sums, random</b>", "sigma  0.00387 (length 3.1)"]
    assert lines[2].startswith("mean score  0.6")
    assert [line.split("  ")[0] for line in lines[3:]] == [
        "95% interval of the mean", "nine tenths of the directions", "strict directions", "design effect", "directions",
    ]  # fmt: skip
    worst = one.curve("sums", WORST)
    assert plain(about(one, worst, worst.levels[0]))[-1] == "directions  1"
    assert not any("interval" in line for line in plain(about(one, worst, worst.levels[0])))


def test_an_end_that_was_not_found_reaches_to_the_end_of_the_axis(one) -> None:
    width = one.width("sums")
    bare = {"reason": "not found"}
    assert shaded(width.model_copy(update={"high": None, **bare}), (0.001, 0.1)) == pytest.approx((0.00152, 0.1))
    assert shaded(width.model_copy(update={"low": None, **bare}), (0.001, 0.1)) == pytest.approx((0.001, 0.002))
    assert shaded(width.model_copy(update={"low": None, "high": None, **bare}), (0.001, 0.1)) is None


def test_the_strip_colours_inside_open_and_outside(view) -> None:
    figure = strip_chart(view)
    bars = [shape for shape in figure["layout"]["shapes"] if shape["type"] == "rect"]
    first = {bar["fillcolor"]: (bar["x0"], bar["x1"]) for bar in bars if bar["y0"] < 0}
    assert first[OPEN] == pytest.approx((0.000798, 0.00105))
    assert first[INSIDE][1] == first[OPEN][0]
    assert first[OUTSIDE][0] == first[OPEN][1]
    assert len(bars) == 5 * 3 + 1


def test_where_an_end_was_not_found_nothing_is_inside_or_outside(build) -> None:
    def colours(**ends: float | None) -> list[str]:
        found = build()
        width = found.widths[0].model_copy(update={"reason": "not found", **ends})
        view = seen(found.model_copy(update={"widths": (width,)}))
        return [colour for _, colour in stretches(view, "sums", (0.001, 0.1))]

    assert colours() == [OPEN, INSIDE, OUTSIDE]
    assert colours(high=None) == [OPEN, INSIDE]
    assert colours(low=None) == [OPEN, OUTSIDE]
    assert colours(low=None, high=None) == [SHADE]


def test_fine_tunes_stand_on_the_strip_with_the_change_of_their_score(view) -> None:
    figure = strip_chart(view)
    assert [trace["name"] for trace in figure["data"]] == ["benign", "normal", "adversarial"]
    assert figure["data"][1]["x"] == pytest.approx([0.003] * 6)
    assert figure["data"][1]["text"][0] == " \N{MINUS SIGN}0.45"
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["benign", "normal", "adversarial"]


def test_names_that_would_cover_each_other_stand_in_lines_of_their_own(build) -> None:
    tuned = {f"/runs/tuned-{n}": (0.003 * (1 + n / 50), 1.0) for n in range(3)}
    notes = strip_chart(seen(build(tuned=tuned)))["layout"]["annotations"]
    assert len({note["yshift"] for note in notes}) == 3


def test_names_are_markup_nowhere(build) -> None:
    found = build({"<b>a": 0.004}, {"/runs/<i>x": (0.003, 1.0)})
    texts = str(curve_chart(seen(found))) + str(strip_chart(seen(found)))
    assert "<b>a" not in texts.replace("<b>&lt;b&gt;a", "")
    assert "<i>" not in texts


def test_two_models_have_a_line_and_a_band_each(before, view) -> None:
    figure = compared_chart(before, view, compared(before, view))
    assert [trace["name"] for trace in figure["data"] if "name" in trace] == ["before", "after"] * 6
    assert len([trace for trace in figure["data"] if trace.get("fill") == "toself"]) == 12
    assert compared_chart(before, view, ()) is None
