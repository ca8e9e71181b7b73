"""The page of a rewinding: what it holds, what it leaves out, and its charts and tables."""

from __future__ import annotations

import re

import pytest

from holdfast.core.rewinding import CHOSEN, FINAL
from holdfast.report.rewinding.charts import about, plane_chart, step_chart
from holdfast.report.rewinding.ledger import match_ledger, point_ledger
from holdfast.report.rewinding.page import rewinding_page
from holdfast.report.rewinding.plane import rewind_plane
from holdfast.report.rewinding.ways import rewound


def sections(html: str) -> list[str]:
    return re.findall(r'<section id="([\w-]+)">', html)


def test_the_page_holds_everything_that_was_found(view) -> None:
    html = rewinding_page(view)
    assert sections(html) == ["kept-and-learned", "by-step", "rivals", "numbers", "refused", "reading", "measured"]
    assert (
        "<h1>Rewind to 0.5: keeps 97% [94, 100] of the gain and undoes 64% [57, 72] of what was forgotten</h1>" in html
    )
    assert "<li>Too few items to decide: give more.</li>" in html
    assert "<dt>additive</dt>\n    <dd>the change of this tuner is linear in none of its tensors</dd>" in html
    assert "never at equal t" in html
    assert "farther from the base than the end</span>" in html


def test_what_is_not_there_has_no_section(build) -> None:
    html = rewinding_page(rewound(build(text=None)))
    assert sections(html) == ["kept-and-learned", "by-step", "numbers", "reading", "measured"]
    assert "<dt>KL</dt>" not in html
    assert "farther from the base than the end</span>" not in html


def test_where_nothing_was_to_be_kept_there_is_no_plane(build) -> None:
    reasons = {(subject, "forgetting"): ("nothing was kept", None) for subject in (CHOSEN, FINAL)}
    view = rewound(build(keep=(), text=None, records=reasons))
    assert plane_chart(view) is None
    assert "kept-and-learned" not in sections(rewinding_page(view))
    assert len(step_chart(view)["layout"]["shapes"]) == 1


def test_names_are_escaped(build, walked) -> None:
    rival = walked("<b>x", [(0.0, 0.0, 1.0), (1.0, 0.8, 0.5)])
    html = rewinding_page(rewound(build(rivals=[rival], refused={"<i>y": "a < b"})))
    assert "<b>x" not in html
    assert "<dt>&lt;i&gt;y</dt>\n    <dd>a &lt; b</dd>" in html


def test_the_plane_has_a_line_a_path_and_a_mark_for_base_chosen_and_finished(view) -> None:
    figure = plane_chart(view)
    lines = {trace["name"]: trace for trace in figure["data"] if "lines" in trace["mode"]}
    assert list(lines) == ["training trajectory", "dense", "own"]
    assert lines["own"]["x"] == pytest.approx([1.0, 1.0, 0.9, 0.6, 0.5])
    assert lines["own"]["y"] == pytest.approx([0.0, 0.4, 0.8, 0.8, 0.8])
    marks = {trace["name"]: trace for trace in figure["data"] if trace["mode"] == "markers"}
    assert list(marks) == ["base", "chosen, t = 0.5", "finished"]
    assert [each["text"] for each in figure["layout"]["annotations"]] == [f"<b>{name}</b>" for name in marks]


def test_bars_stand_where_the_intervals_lead_from_the_base(view) -> None:
    chosen = rewind_plane(view).named[1]
    assert chosen.kept_span == pytest.approx((1 - 0.16, 1 - 0.04))
    assert chosen.target_span == pytest.approx((0.66, 0.91))


def test_a_point_farther_than_the_end_is_hollow(view) -> None:
    (trace,) = (trace for trace in plane_chart(view)["data"] if trace["name"] == "training trajectory")
    colours = trace["marker"]["color"]
    assert [colour == "#ffffff" for colour in colours] == [False, False, True, False]


@pytest.mark.parametrize(("t", "name"), [(0.0, "base, chosen"), (1.0, "finished, chosen")])
def test_a_chosen_end_has_one_mark(build, t: float, name: str) -> None:
    names = [each.text for each in rewind_plane(rewound(build(t))).named]
    assert len(names) == 2
    assert name in names


def test_paths_are_drawn_against_the_step_and_not_against_t(build, walked) -> None:
    rival = walked("checkpoints", [(0.0, 0.0, 1.0), (0.2, 0.4, 0.8), (1.0, 0.8, 0.5)], {0.2: 0.7}, trained=100)
    figure = step_chart(rewound(build(rivals=[rival])))
    traces = [trace for trace in figure["data"] if trace["name"] == "training trajectory"]
    assert [trace["x"] for trace in traces] == [[0.0, 0.7, 1.0]] * 3
    assert traces[0]["y"] == pytest.approx([0.0, 0.4, 0.8])
    assert traces[1]["y"] == pytest.approx([0.0, 0.2, 0.5])
    assert traces[2]["y"] == pytest.approx([0.0, 0.2, 0.5])
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [0.5] * 3


def test_a_pointer_on_a_point_tells_all_about_it(view) -> None:
    text = re.sub("<span[^>]*>|</span>", "", about(view.ways[2].places[2], "training trajectory", view))
    lines = text.split("<br>")
    assert lines[0] == "<b>training trajectory, t = 0.6</b>, farther than the end"
    assert lines[1:6] == [
        "optimizer step  120",
        "step from the base  1.100 of the whole way",
        "KL from base  0.400 nats/token",
        "target  0.700",
        "kept  0.600",
    ]
    assert lines[-1].startswith("tales  \N{MINUS SIGN}0.400")
    assert about(view.base, "own", view).startswith("<b>the untouched base</b><br>")


def test_many_tasks_are_counted_and_not_all_told(build) -> None:
    view = rewound(build(keep=tuple(f"task-{n}" for n in range(20)), text=None))
    assert about(view.chosen, "own", view).endswith("and 9 more, in the table below")


def test_the_table_has_every_point_of_every_path_and_the_base_once(view) -> None:
    table = point_ledger(view)
    rows = {row.name: row for row in table.rows}
    assert len(rows) == len(table.rows) == 1 + 4 + 3 + 3
    assert rows["own 0.5"].below == "chosen"
    assert rows["own 1"].below == "finished"
    assert rows["training trajectory 0.6"].below == "farther than the end, left out"
    assert [column.title for column in table.columns] == [
        "step", "optimizer step", "KL", "target", "forgetting", "facts", "order", "tales",
    ]  # fmt: skip
    cells = rows["own 0.5"].cells
    assert [cell.main for cell in cells] == ["0.500", "", "0.100", "0.800", "0.100", "−0.100", "−0.100", "−0.100"]
    assert cells[3].below == ("+0.800 [0.660, 0.910]",)
    assert cells[5].tip.endswith("\nscore 0.900")
    assert rows["base"].cells[5].below == ("score",)


def test_several_tasks_to_be_learned_have_a_column_each(build) -> None:
    table = point_ledger(rewound(build(learn=("sums", "words"), text=None)))
    assert [column.title for column in table.columns] == [
        "step",
        "target",
        "sums",
        "words",
        "forgetting",
        "facts",
        "order",
    ]
    assert table.groups == (("where", 1), ("learned", 3), ("kept, change against the base", 3))


def test_the_matched_table_says_between_which_points_a_rival_was_taken(view) -> None:
    table = match_ledger(view, view.by_step)
    assert [row.name for row in table.rows] == ["own", "dense", "training trajectory"]
    assert table.rows[1].cells[0].below == ("between 0.4 and 0.6",)
    assert [cell.main for cell in table.rows[1].cells] == ["0.500", "0.700", "0.150", "−0.100", "+0.050"]
    assert match_ledger(view, ()) is None


def test_a_rival_that_cannot_be_matched_has_the_reason_as_its_tip(build, walked) -> None:
    view = rewound(build(rivals=[walked("dense", [(0.0, 0.0, 1.0), (1.0, 0.5, 0.9)], {1.0: 0.3})]))
    cells = match_ledger(view, view.by_step).rows[1].cells
    assert (cells[0].main, cells[0].tip) == ("–", "this path never comes there: at most 0.300")
    assert len(cells) == 5
