"""The folder of a diagnosis, its figures, its short version, and what a terminal shows."""

from __future__ import annotations

import pytest
from rich.console import Console

from holdfast.core.record import read_jsonl
from holdfast.report.diagnosis.figures import diagnosis_figures
from holdfast.report.diagnosis.publish import publish_diagnosis
from holdfast.report.diagnosis.summary import diagnosis_summary
from holdfast.report.diagnosis.terminal import terminal_summary
from holdfast.report.diagnosis.verdict import verdict_of

FIGURES = {f"{name}.{kind}" for name in ("map", "profiles", "activations") for kind in ("png", "pdf")}


def printed(diagnosis, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(terminal_summary(diagnosis))
    return capture.get().splitlines()


def test_publishing_writes_everything_and_returns_the_page(small, tmp_path) -> None:
    written = publish_diagnosis(small, tmp_path / "new")
    assert written == tmp_path / "new" / "report.html"
    names = {str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert names == {"report.html", "summary.md", "records.jsonl", *(f"figures/{name}" for name in FIGURES)}
    assert list(read_jsonl(tmp_path / "new" / "records.jsonl")) == list(small.records)
    for name in FIGURES:
        content = (tmp_path / "new" / "figures" / name).read_bytes()
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"%PDF")
        assert len(content) > 5000


def test_figures_of_nothing_are_removed(build, everything, tmp_path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "activations.png").write_bytes(b"old")
    found = diagnosis_figures(build(without=everything))
    assert set(found) == FIGURES
    assert not any(found.values())
    publish_diagnosis(build(without=everything), tmp_path)
    assert not (tmp_path / "figures" / "activations.png").exists()


@pytest.mark.parametrize("blocks", [1, 40])
def test_figures_are_drawn_for_one_block_and_for_many(build, blocks: int) -> None:
    found = diagnosis_figures(build(blocks=blocks, roles=()))
    assert found["map.png"] is not None
    assert found["profiles.pdf"] is not None
    assert found["activations.png"] is None


def test_the_summary_has_title_verdict_table_and_what_it_was_measured_on(small) -> None:
    text = diagnosis_summary(small)
    assert text.startswith("# What lora changed in miniature\n\n- The update (lora adapter) covers")
    assert "| self_attn.q_proj | 3 | 0.200 | 2.00 | 0.0400 | 0.300 | 0 | 0.0200 |" in text
    assert "| random update | 7 | 0.200 | 12.0 |" in text
    assert "- general prompts: general.txt, 40 prompts, 320 tokens looked at" in text


def test_a_terminal_shows_the_verdict_and_the_table(small) -> None:
    lines = printed(small, 400)
    assert lines[0].strip() == "What lora changed in miniature"
    assert [line.strip() for line in lines[1:11]] == [f"• {text}" for text in verdict_of(small)]
    heading = next(line for line in lines if "stable rank" in line and "sites" in line)
    assert "CKA general" in heading


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_drops_columns_and_cuts_no_number(small, width: int) -> None:
    lines = printed(small, width)
    assert max(len(line) for line in lines) <= width
    row = next(line for line in lines if line.startswith("random update"))
    assert row.split()[2:4] == ["7", "0.200"]
