"""The folder of a measurement, its figures, its records, its short version, and what a terminal shows."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from holdfast.cli.report import BASIN, report
from holdfast.core.basin import read_basin
from holdfast.core.errors import DamagedCheckpoint, RecipeError
from holdfast.core.record import read_jsonl
from holdfast.report.basin.figures import basin_figures, curve_figure, strip_figure
from holdfast.report.basin.publish import published_basin
from holdfast.report.basin.records import records_of
from holdfast.report.basin.seen import seen
from holdfast.report.basin.table import basin_summary, terminal_basin


def printed(measurement, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(terminal_basin(measurement))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_publishing_writes_everything_and_returns_the_page(build, tmp_path) -> None:
    found = build(tuned={"/runs/final": (0.003, 1.0)})
    assert published_basin(found, tmp_path / "basin") == tmp_path / "basin" / "report.html"
    names = {str(path.relative_to(tmp_path / "basin")) for path in tmp_path.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.{kind}" for name in ("basins", "fine-tunes") for kind in ("png", "pdf")}
    assert names == {"report.html", "summary.md", "records.jsonl", *figures}
    assert list(read_jsonl(tmp_path / "basin" / "records.jsonl")) == records_of(seen(found))
    assert (tmp_path / "basin" / "figures" / "basins.pdf").read_bytes().startswith(b"%PDF")


def test_a_report_is_rebuilt_from_what_was_measured_and_beside_an_earlier_model(build, tmp_path, capsys) -> None:
    after, before = tmp_path / "after", tmp_path / "before"
    for folder, bears in ((after, {"sums": 0.008}), (before, {"sums": 0.004})):
        folder.mkdir()
        (folder / BASIN).write_text(build(bears).model_dump_json(exclude_none=True))
    report(after)
    assert str(after / "report.html") in capsys.readouterr().out.replace("\n", "")
    alone = (after / "summary.md").read_text()
    report(after, before)
    assert len((after / "summary.md").read_text()) > len(alone)
    report(after, as_json=True)
    assert capsys.readouterr().out.endswith(
        read_basin(after / BASIN).model_dump_json(exclude_none=True, indent=2) + "\n"
    )


def test_only_basins_are_compared_with_an_earlier_model(build, tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"before: .* holds no measured basins"):
        report(tmp_path, tmp_path)
    (tmp_path / BASIN).write_text(build().model_dump_json(exclude_none=True))
    with pytest.raises(DamagedCheckpoint, match="is missing: measure with holdfast basin first"):
        report(tmp_path, tmp_path / "nothing")
    (tmp_path / BASIN).write_text("{}")
    with pytest.raises(DamagedCheckpoint, match="does not hold a measurement of basins"):
        report(tmp_path)


def test_a_figure_of_nothing_is_removed(build, tmp_path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "fine-tunes.png").write_bytes(b"old")
    published_basin(build({}), tmp_path)
    assert not (tmp_path / "figures" / "fine-tunes.png").exists()
    assert set(basin_figures(seen(build({}))).values()) == {None}


def test_the_figures_hold_a_panel_an_ability_and_a_mark_a_fine_tune(view, one) -> None:
    shown = [axes for axes in curve_figure(view).axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in shown] == list(view.abilities)
    assert {axes.get_xscale() for axes in shown} == {"log"}
    (axes,) = strip_figure(view).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(view.abilities)
    assert [line.get_label() for line in axes.get_lines()] == ["benign", "normal", "adversarial"]
    assert strip_figure(one) is None


def test_the_records_hold_widths_curves_fine_tunes_and_certificates(view, before) -> None:
    records = records_of(view, before)
    by_name = {(each.subject, each.quantity, each.site, each.unit): each for each in records}
    width = by_name["random", "basin_width", "sums", "sigma"]
    assert width.value == pytest.approx((0.00152 * 0.002) ** 0.5)
    assert width.spread == pytest.approx((0.00152, 0.002))
    lacking = by_name["random", "basin_width", "chronicle", "sigma"]
    assert (lacking.value, lacking.reason) == (None, "after 10 distances none was found outside: start further out")
    assert by_name["/runs/normal/final", "outside_basin", "sums", ""].value == 1.0
    assert by_name["/runs/benign/final", "outside_basin", "sums", ""].value == 0.0
    assert by_name["/runs/adversarial/final", "outside_basin", "chronicle", ""].reason is not None
    assert by_name["/runs/normal/final", "displacement", "sums", "norm"].value == pytest.approx(2.4)
    assert by_name["worst/0.0003", "score", "sums", "frac"].value == pytest.approx(
        view.curve("sums", "worst").levels[0].mean
    )
    assert by_name["after against before", "width_ratio", "sums", "x"].value == pytest.approx(2.04, abs=0.05)
    assert by_name["certificate 1, share, B of an adapter, A frozen", "vacuous", "recall", ""].value == 0.0


def test_the_summary_has_the_verdict_the_tables_and_the_command(view, before) -> None:
    text = basin_summary(view, before)
    assert text.startswith("# Of those whose width is known, “refusals” breaks first under random moves")
    assert "| sums | 0.00152 to 0.002 | 5% | 1,100 |" in text
    assert "| normal, refusals | outside | 0.450 [0.300, 0.600] | 0.003 | 0.402 [0.292, 0.506] |" in text
    assert text.count("It bounds the model under noise, never the fine-tuned model itself.") == 30
    assert "## Prompts that are disturbed" in text
    assert "## Before and after" in text
    assert "- hash of the weights after: 9f8e7d6c, the same" in text
    assert text.endswith("```\nholdfast basin miniature --suite general --output_dir basin\n```\n")


def test_a_summary_of_little_has_few_sections(one) -> None:
    headings = re.findall("^## (.+)$", basin_summary(one), re.MULTILINE)
    assert headings == ["Read with care", "How wide every basin is", "Measured on", "Make it anew"]


def test_a_terminal_shows_the_verdict_the_widths_and_a_few_certificates(full) -> None:
    lines = printed(full, 120)
    assert lines[0].startswith("Of those whose width is known, “refusals” breaks first")
    assert any(
        line.split() == ["sums", "0.00152", "to", "0.002", "5%", "1,100", "–", "0.900", "0.250"] for line in lines
    )
    assert lines[-1] == "26 more certificates, each with its sentence, on the page."


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_a_narrow_terminal_drops_columns_and_cuts_no_number(build, width: int) -> None:
    lines = printed(build(tuned={"/runs/final": (0.003, 1.0)}), width)
    assert max(map(len, lines)) <= width
    (row,) = (line for line in lines if line.startswith("sums "))
    assert "0.00152 to 0.002" in row
