"""The figures, the short version, and the folder that holds everything."""

from __future__ import annotations

import pytest

from holdfast.core.record import read_jsonl
from holdfast.report.comparison import Comparison
from holdfast.report.figures import figures
from holdfast.report.publish import publish
from holdfast.report.summary import summary

FIGURES = {"trade-off.png", "trade-off.pdf", "retention.png", "retention.pdf"}


@pytest.fixture(scope="module")
def drawn(small) -> dict[str, bytes | None]:
    return figures(small)


def test_both_figures_are_drawn_as_png_and_pdf(drawn) -> None:
    assert set(drawn) == FIGURES
    for name, content in drawn.items():
        assert content is not None
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"%PDF")
        assert len(content) > 5000


def test_the_same_comparison_gives_the_same_figures(small, drawn) -> None:
    assert figures(small) == drawn


def test_names_with_dollars_are_not_taken_for_formulas(tell) -> None:
    odd = {"name": "a$_b$", "gain": 0.1, "target_score": 0.2, "kept_score": 0.8}
    found = figures(tell(odd))
    assert found["trade-off.png"] is not None
    assert found["retention.pdf"] is None


def test_the_summary_has_title_verdict_table_notes_failures_and_the_command(small) -> None:
    text = summary(small)
    assert text.startswith("# 6 fine-tuning methods on miniature, learning “cant”\n\nOn “cant”, ")
    for part in ("| **● oft** |", "## Read with care\n\n- 2 seeds:", "- hra: seed 2: the loss", "holdfast report ."):
        assert part in text
    assert text.index("| **● oft** |") < text.index("## Read with care") < text.index("## Without a result")


def test_a_failure_of_several_lines_stays_one_item_of_the_list(tell) -> None:
    text = summary(tell({"name": "a", "failure": "x"}, failures=("a: first\n  second",)))
    assert "- a: first second\n" in text


def test_publishing_writes_everything_and_returns_the_page(small, tmp_path) -> None:
    written = publish(small, tmp_path / "new")
    assert written == tmp_path / "new" / "report.html"
    names = {str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert names == {
        "report.html",
        "summary.md",
        "comparison.json",
        "records.jsonl",
        *(f"figures/{name}" for name in FIGURES),
    }
    assert Comparison.model_validate_json((tmp_path / "new" / "comparison.json").read_text()) == small
    assert len(list(read_jsonl(tmp_path / "new" / "records.jsonl"))) > 20
    assert written.stat().st_mode & 0o777 == 0o644


def test_publishing_again_replaces_what_is_there_and_removes_figures_of_nothing(tell, tmp_path) -> None:
    publish(tell({"name": "a", "gain": 0.1, "target_score": 0.2, "kept_score": 0.8}), tmp_path)
    assert (tmp_path / "figures" / "trade-off.png").exists()
    publish(tell({"name": "a", "failure": "out of memory"}), tmp_path)
    assert not (tmp_path / "figures" / "trade-off.png").exists()
    assert "out of memory" in (tmp_path / "report.html").read_text(encoding="utf-8")
