"""Directions that move a part of the weights alone stand apart from those that move all."""

from __future__ import annotations

import pytest

from holdfast.core.basin import BasinMeasurement
from holdfast.report.basin.curve_chart import curve_chart
from holdfast.report.basin.page import basin_page
from holdfast.report.basin.parts import looks_in_order, parts_of
from holdfast.report.basin.seen import Seen, seen, sigmas_of


def with_parts(measurement: BasinMeasurement, *kinds: str) -> Seen:
    """The same, with the random curve as that of other directions, a hundred times as far out."""
    random = measurement.curves[0]
    levels = tuple(level.model_copy(update={"sigma": 100 * level.sigma}) for level in random.levels)
    parts = [random.model_copy(update={"direction": kind, "levels": levels, "base": 0.5}) for kind in kinds]
    return seen(measurement.model_copy(update={"curves": (*parts, *measurement.curves)}))


def test_every_kind_of_part_has_a_chart_of_its_own(build) -> None:
    layers, adapters = parts_of(with_parts(build(), "layer 0", "layer 1", "adapter /runs/fa"))
    assert [name for name, _ in layers.key] == ["layer 0", "layer 1"]
    assert [name for name, _ in adapters.key] == ["adapter /runs/fa"]
    assert [trace["name"] for trace in layers.figure["data"]] == ["layer 0", "layer 1"]
    assert [trace.get("fill") for trace in adapters.figure["data"]] == ["toself", None]
    assert parts_of(seen(build())) == ()


def test_distances_of_parts_are_told_without_lengths_and_stay_out_of_the_main_chart(build) -> None:
    view = with_parts(build(), "layer 0")
    (part,) = parts_of(view)
    assert part.figure["layout"]["xaxis1"]["title"]["text"] == "sigma"
    assert not any("length" in text for trace in part.figure["data"] for text in trace.get("hovertext", ()))
    assert sigmas_of(view)[1] == pytest.approx(1.25 * 0.05)
    assert {trace["name"] for trace in curve_chart(view)["data"] if "name" in trace} == {"random", "worst"}


def test_the_score_of_the_base_is_that_of_the_main_curves(build) -> None:
    measurement = build()
    assert with_parts(measurement, "adapter a").base_scores["sums"][0] == measurement.curves[0].base


def test_many_layers_go_from_pale_to_dark_and_few_are_told_apart() -> None:
    many = looks_in_order([f"layer {n}" for n in range(28)])
    assert many["layer 27"].colour == "#352a86"
    assert len({look.colour for look in many.values()}) == 28
    assert {look.dash for look in many.values()} == {"solid"}
    assert len({look.colour for look in looks_in_order([f"layer {n}" for n in range(9)]).values()}) == 9


def test_the_page_has_a_section_of_parts_where_there_are_any(build, one) -> None:
    html = basin_page(with_parts(build(), "layer 0", "adapter a"))
    assert '<section id="parts">' in html
    assert 'id="part-2-figure"' in html
    assert '<section id="parts">' not in basin_page(one)
