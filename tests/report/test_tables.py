"""The tables: on the terminal, in Markdown, task by task, and the one with everything."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from holdfast.report.heat import heat_of
from holdfast.report.ledger import ledger_of
from holdfast.report.table import markdown_table, ordered, terminal_table


def shown(comparison, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(terminal_table(comparison))
    return captured.get()


def test_the_base_comes_first_then_ranked_by_gain_then_apart_then_failed(small) -> None:
    assert [point.name for point in ordered(small)] == ["base", "oft", "lora", "dora", "full", "ia3", "hra"]


@pytest.mark.parametrize("width", [44, 60, 80, 100, 200])
def test_no_number_is_cut_at_any_width(small, width: int) -> None:
    text = shown(small, width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "…" not in text
    for point in small.points:
        if point.gain is not None:
            assert f"{point.gain:.3f}" in text
    if width >= 80:
        low, high = small.point("oft").gain_interval
        assert f"[{low:.3f}, {high:.3f}]" in text


def test_narrow_terminals_show_fewer_columns_and_wide_ones_all(small) -> None:
    assert "P(frontier)" in shown(small, 80)
    assert "parameters " not in shown(small, 80).split("●")[0]
    assert all(column in shown(small, 200) for column in ("parameters", "gap", "rate", "KL nats/token", "stored"))


def test_markdown_has_a_row_for_everybody_and_as_many_cells_in_each(small) -> None:
    header, rule, *rows = markdown_table(small).splitlines()
    assert len(rows) == len(small.points)
    assert {line.count("|") for line in (header, rule, *rows)} == {header.count("|")}
    assert rows[0].startswith("| **● base** |")
    assert re.match(r"\| hra \(failed\) \|.*\| \N{EN DASH} \| \N{EN DASH} \|", rows[-1])


def test_markdown_leaves_out_columns_that_nobody_fills(tell) -> None:
    assert "KL" not in markdown_table(tell({"name": "lora", "gain": 0.5}))


def test_a_bar_in_a_name_does_not_end_the_cell(tell) -> None:
    assert "a\\|b" in markdown_table(tell({"name": "a|b", "gain": 0.5}))


def test_heat_has_a_cell_for_every_task_and_the_divergence_of_texts(small) -> None:
    heat = heat_of(small)
    assert [column.task for column in heat.columns] == ["cant", "recall", "logic", "chronicle", "chronicle"]
    assert heat.groups == (
        ("to be learned", 1),
        ("to be kept", 2),
        ("to be kept, nats/token", 1),
        ("KL from base, nats/token", 1),
    )
    for row in heat.rows[:-1]:
        assert len(row.cells) == len(heat.columns)
    assert heat.rows[-1].failure == "seed 2: the loss is no longer a number"


def test_heat_is_white_without_change_and_strongest_at_the_largest(tell) -> None:
    def task(change: float) -> dict:
        return {
            "task": "recall",
            "role": "keep",
            "unit": "frac",
            "score": 0.5,
            "change": change,
            "change_interval": (change, change),
        }

    comparison = tell({"name": "a", "tasks": [task(0.0)]}, {"name": "b", "tasks": [task(-0.4)]})
    base = comparison.points[0].model_copy(update={"tasks": comparison.point("a").tasks})
    heat = heat_of(comparison.model_copy(update={"points": (base, *comparison.points[1:])}))
    still, lost = heat.rows[1].cells[0], heat.rows[2].cells[0]
    assert (still.background, still.certain) == ("#ffffff", False)
    assert (lost.background, lost.certain) == ("#d68248", True)
    assert "the interval includes 0" in still.tip


def test_the_ledger_gives_every_number_with_its_interval(small) -> None:
    ledger = ledger_of(small)
    assert [column.title for column in ledger.columns] == [
        *("parameters", "rate"),
        *("gain", "forgetting", "KL"),
        *("P", "area"),
        *("gain", "forgetting"),
        *("step", "stored", "served"),
    ]
    row = next(row for row in ledger.rows if row.point.name == "oft")
    params, rate, gain, *_ = row.cells
    assert (params.main, params.below) == ("1,000", ("0.0%", "exact"))
    assert rate.below == ("1 try", "1 unspent")
    assert gain.order == small.point("oft").gain
    assert gain.tip.startswith("t-interval over seeds: [")


def test_a_failed_entrant_fills_the_first_columns_of_the_ledger_alone(small) -> None:
    ledger = ledger_of(small)
    assert [row.point.name for row in ledger.rows if len(row.cells) == ledger.settled] == ["hra"]


def test_the_ledger_leaves_out_what_nobody_has(tell) -> None:
    ledger = ledger_of(tell({"name": "oft", "gain": 0.5, "trainable_params": 10, "learning_rate": 0.1}))
    assert [heading for heading, _ in ledger.groups] == ["before training", "result"]
