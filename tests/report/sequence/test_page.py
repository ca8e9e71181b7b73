"""The page holds everything, loads nothing, and stands for any number of tasks, orders, seeds and entrants."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from plotly.offline import get_plotlyjs
from rich.console import Console

from holdfast.cli.report import holds_sequences, published_sequences, report
from holdfast.core.record import read_jsonl
from holdfast.report.sequence.analysis import analysed
from holdfast.report.sequence.courses import course_data
from holdfast.report.sequence.figures import sequence_figures
from holdfast.report.sequence.page import sequence_page
from holdfast.report.sequence.publish import publish
from holdfast.report.sequence.records import records_of
from holdfast.report.sequence.spreads import by_level, spread_ledger
from holdfast.report.sequence.table import sequence_summary, terminal_table


def own_part(found) -> str:
    return sequence_page(found).replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def own(two) -> str:
    return own_part(two)


def test_sections_stand_in_the_order_of_their_weight(own: str) -> None:
    assert re.findall(r'<section id="([^"]+)"', own) == [
        "learned-and-lost", "numbers", "differences", "scores", "curves", "owners", "spreads", "costs", "reading",
        "recipe",
    ]  # fmt: skip


def test_nothing_is_loaded_from_anywhere(own: str) -> None:
    assert not re.search(r"""\b(src|href|action|data)\s*=\s*["']""", own)
    assert not re.search(r"@import|url\(|https?:|//cdn", own)


def test_every_column_has_its_definition_below_its_name(own: str) -> None:
    for words in (
        "end minus just trained, earlier tasks (GEM)",
        "best before the last stage minus end (Chaudhry)",
        "just before training minus base (zero-shot)",
        "untrained abilities, end minus base, nats/token",
    ):
        assert f"<small>{words}</small>" in own


def test_undefined_numbers_have_their_reason(own: str) -> None:
    assert 'data-tip="undefined: each task is trained by itself, so there is no backward transfer gem"' in own


def test_costs_count_the_probe(own: str) -> None:
    costs = own[own.index('<section id="costs"') :]
    assert "12.5 s" in costs
    assert "1.25\N{MULTIPLICATION SIGN}" in costs
    assert "488 KiB" in costs


def test_curves_begin_at_the_base_and_hold_their_bands(two) -> None:
    course = course_data(two, 100)["full"]["0"]
    assert course["seeds"] == [1, 2, 3]
    for task, found in course["scores"].items():
        assert found["mean"][0] == pytest.approx(two.scores.base(task).mean, abs=1e-4)
        assert len(found["mean"]) == 6
        assert all(
            low <= mean <= high for low, mean, high in zip(found["low"], found["mean"], found["high"], strict=True)
        )


def test_bands_of_a_single_chain_are_as_wide_as_items_make_them(build) -> None:
    evidence = build({"full": (0.3, 0.1)}, tasks=("recall", "sums"), keep=(), orders=1, seeds=(1,), outside=False)
    course = course_data(analysed(evidence, 20), 2_000)["full"]["0"]["scores"]["recall"]
    for low, mean, high in zip(course["low"], course["mean"], course["high"], strict=True):
        assert high - low == pytest.approx(2 * 1.96 * (mean * (1 - mean) / 60) ** 0.5, rel=0.15)


def test_spreads_are_ranges_of_means(two) -> None:
    from holdfast.metrics.continual.formulas import final_accuracy

    levels = by_level(two, two.of("full"), final_accuracy, lambda run: str(run.seed))
    assert set(levels) == {"1", "2", "3"}
    first = spread_ledger(two).rows[0]
    assert first.cells[1].order == pytest.approx(max(levels.values()) - min(levels.values()))


@pytest.mark.parametrize(
    "options",
    [
        {"orders": 1, "seeds": (1,), "outside": False},
        {"rows": {"full": (0.6, 0.1)}, "tasks": ("recall", "sums"), "orders": 2},
        {"tasks": tuple(f"task {n}" for n in range(10)), "orders": 2, "seeds": (1, 2)},
        {"text_tasks": ("recall", "sums", "cant", "logic", "endings", "stories"), "orders": 1},
        {"text_tasks": ("sums",), "orders": 1},
        {"keep": (), "text_tasks": (), "orders": 1, "seeds": (1,)},
        {"broken": {"full": 0, "trace_probe": 1}, "seeds": (1,), "orders": 1, "planned": ("trace_probe",)},
        {"tasks": ("recall",), "orders": 1, "seeds": (1,)},
    ],
    ids=["one chain", "one entrant", "ten tasks", "texts", "mixed units", "nothing kept", "all broken", "one task"],
)
def test_the_page_stands_for_any_shape(build, options) -> None:
    found = analysed(build(**options), 20)
    own = own_part(found)
    assert "<h1>" in own
    assert not re.search(r"\b(nan|None|Infinity)\b", re.sub(r"(?s)<script.*?</script>", "", own))
    assert sequence_summary(found).startswith("# ")
    console = Console(width=90, record=True, file=StringIO())
    console.print(terminal_table(found))
    assert "untouched base" in console.export_text()


def test_names_cannot_break_the_page(build) -> None:
    own = own_part(analysed(build({"full": (0.6, 0.1), "</script><b>": (0.6, 0.05)}, orders=1, seeds=(1,)), 20))
    assert "</script><b>" not in own


def test_failures_are_told_with_their_place(build) -> None:
    found = analysed(build(broken={"full": 2}), 20)
    own = own_part(found)
    assert "seed 1, after 2 stages: the loss became infinite" in own
    assert "6 of 9 finished" in own


def test_everything_is_written_and_the_same_evidence_gives_the_same_page(build, tmp_path) -> None:
    evidence = build(orders=1, seeds=(1,), planned=("trace_probe",), items=12)
    page = publish(analysed(evidence, 50), tmp_path)
    assert page == tmp_path / "report.html"
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {
        "report.html", "records.jsonl", "summary.md",
        "sequence.png", "sequence.pdf", "matrices.png", "matrices.pdf",
    }  # fmt: skip
    assert page.read_text() == sequence_page(analysed(evidence, 50))
    assert 4e6 < page.stat().st_size < 7e6


def test_what_there_is_nothing_to_draw_of_has_no_figure(build) -> None:
    figures = sequence_figures(analysed(build({"full": (0.6, 0.1)}, broken={"full": 0}, seeds=(1,), outside=False), 20))
    assert set(figures.values()) == {None}


def test_records_hold_metrics_differences_scores_and_owners(two, tmp_path) -> None:
    records = records_of(two)
    found = {(record.subject, record.quantity, record.site): record for record in records}
    assert found["full", "backward_transfer_trace_benchmark", ""].value is not None
    assert found["full", "intransigence_alone", ""].spread is not None
    assert found["trace_probe minus full", "backward_transfer_gem", ""].value > 0
    assert found["full", "general_delta", "nats/token"].unit == "nats/token"
    assert any(record.quantity == "score" and record.site == "recall after stage 5" for record in records)
    assert any(record.quantity == "chosen_tensors" and record.value == 4 for record in records)
    (tmp_path / "r.jsonl").write_text("".join(r.model_dump_json(exclude_none=True) + "\n" for r in records))
    assert [*read_jsonl(tmp_path / "r.jsonl")] == records


def test_a_report_is_made_anew_from_its_folder(build, tmp_path, capsys) -> None:
    evidence = build(orders=1, seeds=(1,), outside=False, items=12)
    (tmp_path / "evidence.json").write_text(evidence.model_dump_json(exclude_none=True))
    report(tmp_path)
    assert "too few to say who forgets least" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()


def test_the_records_are_printed_as_json(build, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("holdfast.report.sequence.publish.publish", lambda found, folder: folder)
    evidence = build({"full": (0.6, 0.1)}, orders=1, seeds=(1,), outside=False, items=12)
    published_sequences(evidence, tmp_path, as_json=True)
    assert any(each["quantity"] == "final_accuracy" for each in json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("text", ["", "[]", '{"learn": []}', "\x80"])
def test_what_is_no_evidence_of_sequences_is_left_to_comparisons(tmp_path, text) -> None:
    (tmp_path / "evidence.json").write_bytes(text.encode("latin-1"))
    assert not holds_sequences(tmp_path / "evidence.json")
    assert not holds_sequences(tmp_path / "absent.json")
