"""The folder of a rewinding, its figure, its short version, and what a terminal shows."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from holdfast.core.record import read_jsonl
from holdfast.report.rewinding.figures import rewinding_figures
from holdfast.report.rewinding.publish import publish_rewinding
from holdfast.report.rewinding.records import records_of
from holdfast.report.rewinding.summary import rewinding_summary
from holdfast.report.rewinding.table import point_table
from holdfast.report.rewinding.terminal import terminal_rewinding
from holdfast.report.rewinding.ways import rewound


def printed(found, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(terminal_rewinding(found))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_publishing_writes_everything_and_returns_the_page(full, view, tmp_path) -> None:
    folder, card = tmp_path / "rewinding", tmp_path / "README.md"
    assert publish_rewinding(full, folder, card=card) == folder / "report.html"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"report.html", "summary.md", "records.jsonl", "figures/rewinding.png", "figures/rewinding.pdf"}
    assert list(read_jsonl(folder / "records.jsonl")) == records_of(view)
    assert "## What it kept" in card.read_text()
    assert (folder / "figures" / "rewinding.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "figures" / "rewinding.pdf").read_bytes().startswith(b"%PDF")


def test_without_a_card_none_is_made(build, tmp_path) -> None:
    publish_rewinding(build(0.0, verdict="this update does not help"), tmp_path / "rewinding", card=None)
    assert not (tmp_path / "README.md").exists()


def test_a_figure_of_nothing_is_removed(build, tmp_path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "rewinding.png").write_bytes(b"old")
    found = build(keep=(), text=None)
    assert set(rewinding_figures(rewound(found)).values()) == {None}
    publish_rewinding(found, tmp_path)
    assert not (tmp_path / "figures" / "rewinding.png").exists()


def test_the_summary_has_the_advice_the_points_and_the_refusals(view) -> None:
    text = rewinding_summary(view)
    assert text.startswith("# Rewind to 0.5: keeps 97% [94, 100]")
    assert "| 0.5 chosen | 0.800 | 0.100 [0.040, 0.160] | 0.500 | 0.100 |" in text
    assert "- additive: the change of this tuner is linear in none of its tensors" in text
    assert "- checkpoint: /runs/lora/final (lora adapter)" in text


def test_a_long_path_is_shown_around_the_chosen_point_with_both_ends(build) -> None:
    points = [(n / 40, min(n / 20, 1.0), 1.0 - n / 80) for n in range(41)]
    rows = [row[0] for row in point_table(rewound(build(0.5, points))).rows]
    assert len(rows) == 12
    assert rows[0] == "0 base"
    assert rows[-1] == "1 finished"
    assert "0.5 chosen" in rows
    assert {"0.475", "0.525"} < set(rows)


def test_a_terminal_shows_the_advice_and_the_points(full) -> None:
    lines = printed(full, 400)
    assert lines[0].startswith("Rewind to 0.5: keeps 97% [94, 100] of the gain")
    assert any(line.startswith("• Chosen by keep_gain(0.95)") for line in lines)
    assert re.split(" {2,}", next(line for line in lines if line.startswith("0.5 "))) == [
        "0.5 chosen", "0.800", "0.100 [0.040, 0.160]", "0.500", "0.100",
    ]  # fmt: skip
    assert lines[-1] == "No path 'additive': the change of this tuner is linear in none of its tensors"


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_a_narrow_terminal_drops_columns_and_cuts_no_number(full, width: int) -> None:
    lines = printed(full, width)
    assert max(map(len, lines)) <= width
    start = next(number for number, line in enumerate(lines) if line.startswith("0 base"))
    numbers = re.findall(r"\d\.\d+", " ".join(lines[start : start + 5]))
    assert all(len(number.split(".")[1]) == 3 for number in numbers if number not in ("0.25", "0.5", "0.75"))
    assert next(line for line in lines if line.startswith("0.5 chosen")).split()[2] == "0.800"
