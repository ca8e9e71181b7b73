"""The charts are what plotly accepts, and draw everybody."""

from __future__ import annotations

import pytest
from plotly.graph_objects import Figure

from holdfast.report.analysis import analysed
from holdfast.report.charts import course_chart, tradeoff_chart
from holdfast.report.palette import COLOURS, DISTANCE, WORSE, looks, tinted


def dots(chart) -> dict:
    return {trace["name"]: trace for trace in chart["data"] if "error_x" in trace}


def test_plotly_accepts_both_charts(small) -> None:
    for chart in (tradeoff_chart(small), course_chart(small)):
        Figure(chart)


def test_there_is_a_dot_for_everyone_with_a_result_and_hollow_ones_are_not_ranked(small) -> None:
    drawn = dots(tradeoff_chart(small))
    assert set(drawn) == {"base", "lora", "oft", "dora", "ia3", "full"}
    hollow = {name for name, trace in drawn.items() if trace["marker"]["color"] == "#ffffff"}
    assert hollow == {"ia3", "full"}
    assert drawn["base"]["marker"]["symbol"] == "diamond"


def test_a_dot_tells_everything_about_its_entrant(small) -> None:
    (text,) = dots(tradeoff_chart(small))["oft"]["hovertext"]
    point = small.point("oft")
    for part in (
        "oft(r=4)",
        "1,000 (0.0%, exact)",
        "0.001 (1 try, 1 unspent)",
        f"{point.gain:.3f}",
        "P(non-dominated)",
    ):
        assert part in text
    for task in ("cant", "recall", "logic", "chronicle", "KL from base", "step time", "against lora"):
        assert task in text


def test_names_that_look_like_markup_are_shown_as_they_are(tell) -> None:
    odd = {"name": '<b>"x"&', "gain": 0.1, "target_score": 0.2, "kept_score": 0.8}
    chart = tradeoff_chart(tell(odd))
    assert '&lt;b&gt;"x"&amp;' in dots(chart)
    assert {note["text"] for note in chart["layout"]["annotations"]} == {"<b>base</b>", '&lt;b&gt;"x"&amp;'}


def test_axes_say_unit_and_direction(build, made) -> None:
    chart = tradeoff_chart(analysed(build({"lora": made()}, learn=("reports", "nats/token"), seeds=(1,))))
    assert "log-likelihood, nats per token, on reports" in chart["layout"]["yaxis"]["title"]["text"]
    assert "mean score, 0 to 1, over recall and logic" in chart["layout"]["xaxis"]["title"]["text"]
    assert all("better" in chart["layout"][axis]["title"]["text"] for axis in ("xaxis", "yaxis"))


def test_the_legend_toggles_both_panels_together(small) -> None:
    chart = course_chart(small)
    for name in ("lora", "full"):
        panels = [trace for trace in chart["data"] if trace["legendgroup"] == name]
        assert [trace["xaxis"] for trace in panels] == ["x", "x2"]
        assert [trace["showlegend"] for trace in panels] == [True, False]


def test_nothing_is_drawn_for_nobody(tell) -> None:
    comparison = tell({"name": "lora", "failure": "out of memory"})
    assert tradeoff_chart(comparison) is None
    assert course_chart(comparison) is None


def test_thirty_entrants_look_different_from_one_another(tell) -> None:
    comparison = tell(*({"name": f"m{i}"} for i in range(30)))
    look = looks(comparison)
    assert len({(one.colour, one.symbol) for one in look.values()}) == 31
    assert look["m0"].colour == look["m9"].colour == COLOURS[0]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", COLOURS)
def test_marks_can_be_told_from_white(colour: str) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 3.0


@pytest.mark.parametrize("end", [WORSE, DISTANCE])
def test_ink_is_legible_on_the_strongest_tint(end) -> None:
    assert (luminance(tinted(1.0, end)) + 0.05) / (luminance("#1c2128") + 0.05) >= 4.5
    assert tinted(0.0, end) == "#ffffff"
    assert tinted(7.0, end) == tinted(1.0, end)
