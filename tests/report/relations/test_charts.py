"""Panels on the page and in print: a panel a measure, a dot a checkpoint, one look a method."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.foretelling import SIZE
from holdfast.report.palette import looks_of
from holdfast.report.relations import figures
from holdfast.report.relations.analysis import related
from holdfast.report.relations.charts import WIDTH, scatters
from holdfast.report.relations.panels import panels_of, scale

CKA = "cka_biased/general"


def test_panels_follow_the_relations_and_hold_the_published_r(answered, make) -> None:
    panels = panels_of(answered(make(SIZE, 0.5), make(CKA, -0.94, 0.04), make("stable_rank", "same")), "forgetting")
    assert [(panel.title, panel.strength, panel.published) for panel in panels] == [
        ("size of the update", "r +0.50 [+0.45, +0.55]", ""),
        ("CKA, biased, general", "r −0.94 [−0.98, −0.90]", "published −0.761"),
        ("stable rank", "same", ""),
    ]


def test_against_the_gain_panels_tell_the_r_with_the_gain_and_nothing_was_published(answered, make) -> None:
    answer = answered(make(SIZE), make(CKA), with_gain={SIZE: make(SIZE, 0.1).pearson, CKA: make(CKA, -0.2).pearson})
    panels = panels_of(answer, "gain")
    assert [panel.strength for panel in panels] == ["r +0.10 [+0.05, +0.15]", "r −0.20 [−0.25, −0.15]"]
    assert [panel.measure for panel in panels] == [relation.measure for relation in answer.relations]
    assert not any(panel.published for panel in panels)


def test_every_checkpoint_is_a_dot_in_every_panel(found, answer) -> None:
    drawn = scatters(answer)
    for outcome, values in (
        ("forgetting", [row.forgetting for row in found.checkpoints]),
        ("gain", [row.gain for row in found.checkpoints]),
    ):
        traces = drawn[outcome]["data"]
        assert len(traces) == 3 * 6
        for place, relation in enumerate(answer.relations):
            here = [trace for trace in traces if trace["xaxis"] == f"x{place + 1 if place else ''}"]
            assert np.concatenate([trace["y"] for trace in here]).tolist() == values
            assert np.concatenate([trace["x"] for trace in here]).tolist() == [
                row.measures[relation.measure] for row in found.checkpoints
            ]
    one = drawn["forgetting"]["data"][0]
    row = found.checkpoints[0]
    assert one["customdata"][0] == [row.seed, row.step, row.forgetting, row.gain]
    assert "method 0" in one["hovertemplate"] and "size of the update %{x:.3g}" in one["hovertemplate"]


def test_a_method_looks_the_same_everywhere_and_stands_in_the_legend_once(answer) -> None:
    looks = looks_of(answer.families)
    for trace in scatters(answer)["forgetting"]["data"]:
        assert trace["marker"]["color"] == looks[trace["legendgroup"]].colour
        assert trace["showlegend"] is (trace["xaxis"] == "x")


def test_a_name_that_comes_again_keeps_its_look() -> None:
    assert looks_of(["b", "a", "b"]) == looks_of(["b", "a"])
    assert list(looks_of(["b", "a", "b"])) == ["b", "a"]


def test_panels_lie_within_the_drawing_and_do_not_overlap(answered, make) -> None:
    answer = answered(*(make(SIZE) for _ in range(9)), with_gain={SIZE: make(SIZE).pearson})
    shown = scatters(answer)["forgetting"]["layout"]
    assert shown["width"] == WIDTH
    boxes = [
        (*shown[f"xaxis{number}"]["domain"], *shown[f"yaxis{number}"]["domain"])
        for number in ("", *map(str, range(2, 10)))
    ]
    for place, (left, right, bottom, top) in enumerate(boxes):
        assert 0 <= left < right <= 1 + 1e-9 and 0 <= bottom < top <= 1 + 1e-9
        for other_left, other_right, other_bottom, other_top in boxes[:place]:
            assert right <= other_left or other_right <= left or top <= other_bottom or other_top <= bottom


def test_names_are_not_taken_for_markup(found) -> None:
    rows = [row.model_copy(update={"family": f"<b>{row.family}</b>"}) for row in found.checkpoints]
    answer = related(found.model_copy(update={"checkpoints": tuple(rows)}), 50)
    trace = scatters(answer)["forgetting"]["data"][0]
    assert trace["name"] == "&lt;b&gt;method 0&lt;/b&gt;" and trace["name"] in trace["hovertemplate"]


def test_long_reasons_are_broken_into_lines(answered, make) -> None:
    reason = "undefined: the measure is 0.5 in all 36 checkpoints of this comparison"
    answer = answered(make(SIZE, reason), with_gain={SIZE: make(SIZE).pearson})
    (heading,) = scatters(answer)["forgetting"]["layout"]["annotations"]
    assert heading["text"].count("<br>") == 2


def test_many_methods_have_rows_of_a_legend_above_the_panels(build) -> None:
    few, many = (scatters(related(build(families=count), 20))["gain"]["layout"] for count in (2, 40))
    assert many["margin"]["t"] > few["margin"]["t"] and many["height"] > few["height"]


@pytest.mark.parametrize(
    ("values", "wanted"), [([0.0, 1.0], (-0.06, 1.06)), ([0.0], (-0.06, 0.06)), ([50.0], (47, 53))]
)
def test_a_scale_holds_its_values_with_room(values, wanted) -> None:
    assert scale(values) == pytest.approx(wanted)


def test_print_holds_the_first_panels(answered, make, monkeypatch) -> None:
    monkeypatch.setattr(figures, "MOST", 2)
    figure = figures.geometry_figure(answered(*(make(SIZE) for _ in range(5))))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 2
    assert shown[0].get_title(loc="left") == "size of the update\nr +0.90 [+0.85, +0.95]"


@pytest.mark.parametrize("families", [1, 30])
def test_print_is_drawn_for_one_method_and_for_many(build, families: int) -> None:
    figure = figures.geometry_figure(related(build(families=families, seeds=4), 20))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"method {number}" for number in range(families)]


def test_print_has_both_kinds_of_files(answer) -> None:
    found = figures.relations_figures(answer)
    assert set(found) == {"geometry.png", "geometry.pdf"}
    assert found["geometry.png"].startswith(b"\x89PNG") and found["geometry.pdf"].startswith(b"%PDF")
