"""The tables say what was measured, what was tried, and what carries a sign."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from holdfast.core.foretelling import SIZE, LeftOut
from holdfast.metrics.correlation import Undefined
from holdfast.report.relations.analysis import related
from holdfast.report.relations.ledger import ledger_of, meanings
from holdfast.report.relations.table import relations_table, terminal_relations, unmeasured
from holdfast.report.relations.verdict import verdict

CKA, RANK = "cka_biased/general", "stable_rank"


def test_the_table_says_what_must_be_known_to_read_it(answer) -> None:
    table = relations_table(answer)
    assert table.startswith("# Does geometry foretell what sums makes tiny forget?\n")
    assert all(f"- {line}\n" in table for line in verdict(answer))
    assert "18 checkpoints of 6 methods and 3 seeds; 95% intervals over methods, then checkpoints, then items" in table
    assert f"| {CKA} | -" in table and table.count("| -0.761 |") == 1
    assert f"| {SIZE} |" in table and "| is the size |" in table
    assert "Left out, since not defined for every checkpoint: energy_seen_frac." in table
    assert "adjusted for the 3 measures of this table" in table
    assert "indicative" not in table and "Not measured" not in table


def test_what_was_not_measured_stands_below_the_table(found) -> None:
    left = (
        LeftOut(family="norms", seed=1, step=10, reason="no matrix"),
        LeftOut(family="x", seed=2, reason="diverged"),
    )
    answer = related(found.model_copy(update={"left_out": left}), 50)
    assert unmeasured(answer) == (
        "Left out, since not defined for every checkpoint: energy_seen_frac",
        "Not measured: norms seed 1 step 10 (no matrix)",
        "Not measured: x seed 2 (diverged)",
    )
    assert relations_table(answer).endswith("Not measured: x seed 2 (diverged).\n")


def test_few_methods_are_called_indicative_and_no_draws_are_told(build) -> None:
    table = relations_table(related(build(families=4, draws=0), 50))
    assert "\nFewer than five methods: the intervals are indicative only.\n" in table
    assert "then checkpoints (50 redraws)" in table


def test_the_terminal_shows_a_line_a_measure(answer) -> None:
    written = io.StringIO()
    Console(file=written, width=110).print(terminal_relations(answer))
    lines = written.getvalue().strip().splitlines()
    assert len(lines) == 4
    assert "…" not in written.getvalue()
    assert lines[2].split()[0] == CKA


def test_a_narrow_terminal_breaks_names_and_cuts_no_number(answered, make) -> None:
    written = io.StringIO()
    answer = answered(make(SIZE), make("relative_fluctuation_retention", -0.41, 0.3, held="undefined", p=0.728))
    Console(file=written, width=72).print(terminal_relations(answer))
    assert "…" not in written.getvalue()
    rows = [line.split() for line in written.getvalue().splitlines()]
    assert any(row[1:] == ["-0.41", "[-0.71,", "-0.11]", "-0.41", "–", "0.70", "0.728"] for row in rows)
    assert "".join(row[0] for row in rows[-2:]) == "relative_fluctuation_retention"


def cells(answered, relation) -> dict:
    ledger = ledger_of(answered(relation))
    return {column.title: cell for column, cell in zip(ledger.columns, ledger.rows[0].cells, strict=True)}


def test_every_row_of_the_page_fills_every_column(answer) -> None:
    ledger = ledger_of(answer)
    assert sum(span for _, span in ledger.groups) == len(ledger.columns)
    assert {len(row.cells) for row in ledger.rows} == {len(ledger.columns)}
    assert [(row.name, row.below) for row in ledger.rows] == [
        ("size of the update", SIZE),
        ("CKA, biased, general", CKA),
        ("stable rank", RANK),
    ]


def test_a_row_holds_numbers_intervals_and_what_was_published(answered, make) -> None:
    row = cells(answered, make(CKA, -0.94, 0.04, held=-0.8, p=0.002, r_squared=-0.34))
    assert (row["r"].main, row["r"].below, row["r"].order) == ("−0.94", ("[−0.98, −0.90]",), 0.94)
    assert (row["size"].main, row["size and gain"].main) == ("−0.80", "−0.80")
    assert (row["published r"].main, row["published r"].order) == ("−0.761", -0.761)
    assert (row["R²"].main, row["p"].main) == ("−0.34", "0.002")
    assert row["smallest |r|"].main == "0.50" and row["smallest |r|"].below == ()


def test_the_size_is_not_held_against_itself(answered, make) -> None:
    row = cells(answered, make(SIZE))
    assert (row["size"].main, row["size and gain"].main) == ("is the size", "is the size")
    assert row["published r"].main == "" and row["published r"].order is None


def test_undefined_numbers_are_a_dash_with_the_reason(answered, make) -> None:
    row = cells(answered, make(RANK, "it is constant", held="given size: too", p="no p", r_squared="no line"))
    reasons = {"r": "it is constant", "rho": "it is constant", "size": "given size: too", "p": "no p", "R²": "no line"}
    for column, reason in reasons.items():
        assert (row[column].main, row[column].order, row[column].tip) == ("–", None, reason)


def test_with_one_method_nothing_is_left_out(build) -> None:
    answer = related(build(families=1, seeds=9), 50)
    left_out = answer.size.left_out
    assert isinstance(left_out, Undefined)
    assert f"| {left_out.reason} |" in relations_table(answer)
    cell = ledger_of(answer).rows[0].cells[5]
    assert (cell.main, cell.tip) == ("–", left_out.reason)


@pytest.mark.parametrize(
    ("turned", "below"),
    [
        ([("lora",)], ("turns without lora",)),
        ([("b", "c"), ("a", "d")], ("turns without a and d", "or b and c")),
        ([("c",), ("b",), ("a",)], ("turns without a", "or b", "or 1 more")),
    ],
)
def test_methods_that_carry_a_sign_are_named(answered, make, turned, below) -> None:
    cell = cells(answered, make(RANK, turned=turned))["smallest |r|"]
    assert cell.below == below
    assert all(" and ".join(names) in cell.tip for names in turned)


def test_redraws_without_a_correlation_are_told_in_the_tip(answer) -> None:
    from dataclasses import replace

    r = replace(answer.size.pearson, undefined_redraws=3)
    told = replace(answer, relations=(replace(answer.size, pearson=r),))
    assert ledger_of(told).rows[0].cells[0].tip == "undefined in 3 of 200 redraws"


def test_measures_are_explained_and_unknown_ones_are_called_by_name(answered, make) -> None:
    answer = answered(make(SIZE), make("made_up"))
    assert meanings(answer) == [("size of the update", "Norm of the update over the norm of the base")]
    assert ledger_of(answer).rows[1].name == "made_up"


def test_every_measure_of_a_comparison_has_a_title() -> None:
    from holdfast.arena.geometry import MEASURES
    from holdfast.report.relations.measures import KNOWN, PUBLISHED

    assert {*MEASURES, SIZE, *PUBLISHED} <= set(KNOWN)
