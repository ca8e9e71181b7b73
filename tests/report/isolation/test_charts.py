"""The charts are what plotly accepts, stay small, and draw everybody."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plotly.graph_objects import Figure

from holdfast.core.isolation import Share
from holdfast.report.isolation.choice_chart import MOST_CHOICES, chosen
from holdfast.report.isolation.course_chart import course_of_choices
from holdfast.report.isolation.readings import Drift, Reading
from holdfast.report.palette import looks_of


@pytest.fixture(scope="module")
def drifts(course) -> list[Drift]:
    kinds = {"epi": ("drift", 10), "static": ("drift", 1), "random": ("random", 10), "none": ("drift", 0)}
    return [
        Drift(name, {seed: Reading(course(kind, choices=choices, draw=seed)) for seed in (1, 2)})
        for name, (kind, choices) in kinds.items()
    ]


def drawn(drifts: list[Drift]) -> dict:
    return course_of_choices(drifts, looks_of(drift.name for drift in drifts))


def test_plotly_accepts_the_charts(drifts) -> None:
    Figure(drawn(drifts))
    for drift in drifts[:3]:
        Figure(chosen(drift))


def test_lines_are_means_over_seeds_and_a_choice_that_stands_goes_on_to_the_end(drifts) -> None:
    left = {trace["name"]: trace for trace in drawn(drifts)["data"] if trace["yaxis"] == "y"}
    assert set(left) == {"epi", "static", "random"}
    assert left["epi"]["x"] == list(range(20, 201, 20))
    each = [dict(reading.of_the_first())[200] for reading in drifts[0].readings.values()]
    assert left["epi"]["y"][-1] == pytest.approx(np.mean(each), abs=1e-4)
    assert (
        "of the first choice, held: " in left["epi"]["hovertext"][-1] and "over 2 seeds" in left["epi"]["hovertext"][-1]
    )
    assert "by chance: 1.0%" in left["epi"]["hovertext"][-1]
    assert (left["static"]["x"], left["static"]["y"]) == ([20, 200], [1.0, 1.0])
    assert left["random"]["marker"]["color"] == "#ffffff" != left["epi"]["marker"]["color"]


def test_chance_is_drawn_in_both_panels(drifts) -> None:
    shapes = drawn(drifts)["layout"]["shapes"]
    assert sorted((shape["yref"], shape["y0"]) for shape in shapes) == [("y", 0.01), ("y2", 0.99)]


def test_many_levels_of_chance_are_not_drawn(course) -> None:
    many = [Drift(f"{share}", {1: Reading(course("drift", share=share))}) for share in (0.01, 0.02, 0.05, 0.1)]
    assert drawn(many)["layout"]["shapes"] == []
    assert len(drawn(many[:3])["layout"]["shapes"]) == 6


def test_nothing_is_drawn_where_nobody_chose_anew(drifts) -> None:
    assert course_of_choices(drifts[1:2], looks_of(["static"])) is None
    assert chosen(drifts[3]) is None


def test_overlaps_are_those_of_the_course(drifts) -> None:
    heat = chosen(drifts[0])["data"][0]
    course = drifts[0].shown.course
    assert heat["x"] == heat["y"] == [each.step for each in course.refreshes]
    np.testing.assert_allclose(heat["z"], course.jaccard, atol=5e-4)
    assert "by chance 0.50%" in heat["hovertemplate"]


def test_of_many_choices_some_are_drawn_the_first_and_the_last_among_them(course) -> None:
    reading = Reading(course("drift", choices=150))
    figure = chosen(Drift("epi", {1: reading}))
    heat = figure["data"][0]
    assert len(heat["x"]) == len(set(heat["x"])) == MOST_CHOICES
    assert (heat["x"][0], heat["x"][-1]) == (20, reading.course.refreshes[-1].step)
    assert len(json.dumps(figure)) < 30_000


def test_ages_are_shares_of_what_is_held(drifts) -> None:
    bars = chosen(drifts[0])["data"][1]
    assert sum(bars["y"]) == pytest.approx(1, abs=1e-3)
    assert tuple(zip(bars["x"], bars["customdata"], strict=True)) == drifts[0].shown.course.ages_steps


def test_a_single_choice_shows_where_it_is_and_no_more(drifts) -> None:
    (spread,) = chosen(drifts[1])["data"]
    assert spread["xaxis"] == "x3"
    assert (spread["x"], spread["y"]) == (["0", "1", "2", "3"], ["q_proj", "v_proj", "down_proj"])
    course = drifts[1].shown.course
    first = course.shares[0]
    assert spread["z"][0][0] == pytest.approx(first.held / first.size, abs=1e-5)
    assert f"{first.held:,} of {first.size:,}" in spread["customdata"][0][0]


def test_parts_outside_of_blocks_have_a_column_and_absent_ones_are_holes(course) -> None:
    shares = (
        Share(block=1, module="q_proj", held=1, size=10),
        Share(module="<head>", held=0, size=100),
        Share(block=0, module="q_proj", held=3, size=10),
    )
    found = Drift("epi", {1: Reading(course("drift", choices=1).model_copy(update={"shares": shares}))})
    (spread,) = chosen(found)["data"]
    assert (spread["x"], spread["y"]) == (["0", "1", "outside"], ["q_proj", "&lt;head&gt;"])
    assert spread["z"] == [[0.3, 0.1, None], [None, None, 0.0]]
    assert spread["customdata"][0][1].startswith("q_proj of block 1<br>10%: 1 of 10<br>10.00 times its fair part")
    assert spread["customdata"][1] == [
        "",
        "",
        "&lt;head&gt; outside of blocks<br>0%: 0 of 100<br>0.00 times its fair part",
    ]


def test_a_course_without_shares_shows_overlaps_and_ages(course) -> None:
    bare = course("drift").model_copy(update={"shares": ()})
    assert [trace["type"] for trace in chosen(Drift("epi", {1: Reading(bare)}))["data"]] == ["heatmap", "bar"]
    standing = course("drift", choices=1).model_copy(update={"shares": ()})
    assert chosen(Drift("epi", {1: Reading(standing)})) is None
