"""The charts of sequences hold the numbers of the analysis, on the page and in print."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.report.palette import BETTER, WHITE
from holdfast.report.sequence.analysis import analysed
from holdfast.report.sequence.charts import curves_layout, plane_chart
from holdfast.report.sequence.figures import matrix_figure, plane_figure
from holdfast.report.sequence.standing import LEARNT, LOST


@pytest.fixture(scope="module")
def few(build):
    return analysed(build({"full": (0.6, 0.1), "trace_random": (0.5, 0.02)}, orders=1, items=20, outside=False), 50)


def test_to_the_right_is_learned_and_up_is_kept(few) -> None:
    chart = plane_chart(few)
    for trace in chart["data"]:
        numbers = few.of(trace["name"]).numbers
        learnt, lost = numbers[LEARNT], numbers[LOST]
        assert (trace["x"], trace["y"]) == ([learnt.value], [lost.value])
        assert trace["error_x"]["array"] == pytest.approx([learnt.spread.high - learnt.value])
        assert trace["error_y"]["arrayminus"] == pytest.approx([lost.value - lost.spread.low])
    across, upright = chart["layout"]["shapes"]
    assert (across["y0"], upright["x0"]) == (few.of("full").numbers[LOST].value, few.of("full").numbers[LEARNT].value)


def test_controls_are_hollow(few) -> None:
    colours = {trace["name"]: trace["marker"]["color"] for trace in plane_chart(few)["data"]}
    assert few.controls == ("trace_random",)
    assert [name for name, colour in colours.items() if colour == WHITE] == ["trace_random"]


def test_the_plane_in_print_has_the_same_dots(few) -> None:
    (axes,) = plane_figure(few).axes
    dots = {tuple(map(float, line.get_xydata()[0])) for line in axes.get_lines() if line.get_marker() != "None"}
    assert dots == {(each.numbers[LEARNT].value, each.numbers[LOST].value) for each in few.sequences}


def test_matrices_hold_means_over_seeds_and_are_tinted_by_the_change_against_the_base(few) -> None:
    first, second = matrix_figure(few).axes[:2]
    assert [axes.get_title("left") for axes in (first, second)] == ["full", "trace_random"]
    row = few.of("full").row
    tasks = [*row.chains[0].order, *few.evidence.keep]
    last = [np.mean([chain.stages[-1].test.of(task).mean for chain in row.chains]) for task in tasks]
    assert [text.get_text() for text in first.texts[-len(tasks) :]] == [f"{score:.2f}" for score in last]
    shades = first.images[0].get_array()
    assert np.allclose(shades[0], 1.0)
    learnt = [shades[stage, stage - 1] for stage in range(1, 6)]
    assert max(np.abs(shade - np.array(BETTER) / 255).max() for shade in learnt) < 0.1
    facts = shades[-1, tasks.index("facts")]
    assert facts[0] > facts[2]  # an ability that lost is tinted the other way


def test_every_task_and_ability_has_a_panel_within_the_drawing(few) -> None:
    layout, heads = curves_layout(few)
    assert len(heads) == 8
    for place in range(1, 9):
        for axis in (f"xaxis{place}", f"yaxis{place}"):
            low, high = layout[axis]["domain"]
            assert 0 <= low < high <= 1 + 1e-9
