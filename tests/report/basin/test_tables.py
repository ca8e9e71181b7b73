"""The tables of the page: widths, fine-tunes, certificates with their sentences, and disturbed prompts."""

from __future__ import annotations

import pytest

from holdfast.report.basin.certified import COLUMNS, VACUOUS, certified
from holdfast.report.basin.inputs import bearable, input_chart, input_ledger
from holdfast.report.basin.ledger import verdict_ledger, width_ledger
from holdfast.report.basin.seen import seen


def cells(table, name: str) -> dict[str, str]:
    """Group and title of a column -> what stands in a row, with what stands below it."""
    groups = [group for group, count in table.groups for _ in range(count)]
    (row,) = (row for row in table.rows if row.name == name)
    return {
        f"{group}: {column.title}": " / ".join((cell.main, *cell.below))
        for group, column, cell in zip(groups, table.columns, row.cells, strict=True)
    }


def test_a_width_stands_with_its_test_its_error_and_what_it_took(one) -> None:
    assert cells(width_ledger(one), "sums") == {
        "width along random directions: sigma": "0.00152 to 0.002",
        "width along random directions: length": "1.22 to 1.6",
        "read off the curves, sigma: mean": "0.00207",
        "read off the curves, sigma: strict": "0.00111",
        "read off the curves, sigma: worst": "below 0.0003",
        "decided by: question and test": "mean drop of at most 0.05 / betting on the mean over directions",
        "decided by: error": "5%",
        "asked: distances": "4",
        "asked: directions": "275",
        "asked: answers": "1,100",
        "scores: base": "0.917",
        "scores: guess": "0.250",
        "scores: items": "60",
    }


def test_columns_that_nobody_fills_are_left_out(build) -> None:
    table = width_ledger(seen(build(worst=False, reasons={"sums": "after 10 distances none was decided"})))
    assert [column.title for column in table.columns] == [
        "sigma", "length", "mean", "strict", "base", "guess", "items",
    ]  # fmt: skip
    assert [column.title for column in table.columns if column.first] == ["sigma", "mean", "base"]
    assert [count for _, count in table.groups] == [2, 2, 3]


def test_every_decision_is_told_at_the_number_of_distances(one) -> None:
    table = width_ledger(one)
    (at,) = (n for n, column in enumerate(table.columns) if column.title == "distances")
    assert table.rows[0].cells[at].tip.splitlines()[-1] == "sigma 0.00152: inside, 92 directions, 0.004"


def test_a_width_that_was_not_found_is_a_dash_with_its_reason(view) -> None:
    found = cells(width_ledger(view), "chronicle")
    reason = "after 10 distances none was found outside: start further out"
    assert found["width along random directions: sigma"] == f"– / {reason}"
    assert found["decided by: error"] == ""


def test_an_ability_without_a_search_says_so(build) -> None:
    found = build(smooth=("sums",))
    (row,) = width_ledger(seen(found)).rows
    assert (row.cells[0].main, row.cells[0].tip) == ("–", "no width was looked for")
    assert row.cells[2].tip == "scores are likelihoods: there is no basin to be seen"


def test_rows_and_columns_of_all_tables_agree(view) -> None:
    for table in (width_ledger(view), verdict_ledger(view), input_ledger(view)):
        assert sum(count for _, count in table.groups) == len(table.columns)
        assert {len(row.cells) for row in table.rows} == {len(table.columns)}
    assert {len(each.cells) for each in certified(view)} == {len(COLUMNS)}


def test_a_fine_tune_stands_with_its_loss_its_control_and_what_was_certain(view) -> None:
    assert cells(verdict_ledger(view), "normal · refusals") == {
        "displacement: sigma": "0.003",
        "displacement: length": "2.4",
        "against random moves: basin": "0.000798 to 0.00105",
        "against random moves: stands": "outside",
        "measured: lost": "0.450 / [0.300, 0.600]",
        "measured: random": "0.402 / [0.292, 0.506]",
        "certified: kept surely": "0.000 / vacuous",
    }


def test_without_fine_tunes_there_is_no_table_of_them(one) -> None:
    assert verdict_ledger(one) is None


def test_every_certificate_has_its_sentence_and_the_word_vacuous_where_it_is(view) -> None:
    found = certified(view)
    assert len(found) == 12 + 18
    assert all(
        each.line.endswith("It bounds the model under noise, never the fine-tuned model itself.") for each in found
    )
    assert all((each.cells[-1].main == VACUOUS) == each.vacuous == (VACUOUS in each.line) for each in found)
    assert [each.at_hand for each in found if each.name == "refusals"] == [False, False]
    (normal,) = (each for each in found if each.name == "refusals, normal")
    assert normal.at_hand
    assert normal.cells[5].below == ("4,816 radii",)
    assert normal.cells[6].below == ("weak: nothing",)


def test_a_certificate_that_says_something_tells_what(view) -> None:
    share = certified(view)[0]
    assert [" / ".join((cell.main, *cell.below)) for cell in share.cells] == [
        "share scoring 0.75",
        "0.0252 / B of an adapter, A frozen",
        "0.962",
        "99% / Clopper-Pearson / 120 directions",
        "0.0448 / keeps 0.5",
        "0.0126 / 0.281 radii",
        "0.8995 / score 0.675 / weak: 0.7629",
        "yes / a guess 0.250",
    ]


def test_a_certificate_without_a_radius_or_a_move_has_dashes(build) -> None:
    found = build(certified=True)
    bare = found.certificates[1].model_copy(update={"radius": None})
    (each,) = certified(seen(found.model_copy(update={"certificates": (bare,)})))
    assert [cell.main for cell in each.cells[4:]] == ["–", "–", "–", VACUOUS]
    assert each.line.count("no radius: p_lower is not above the 0.5 to be kept; vacuous") == 1


def test_what_prompts_bear_stands_beside_the_width(view) -> None:
    found = cells(input_ledger(view), "recall")
    assert found["in the weights: basin, sigma"] == "0.00418 to 0.0055"
    assert found["on the prompts: tokens replaced"].endswith("%")
    assert cells(input_ledger(view), "refusals")["on the prompts: tokens replaced"] == "below 2.0%"


def test_what_prompts_bear_is_read_off_in_the_logarithm(build) -> None:
    found = build(inputs=True)
    tokens = found.inputs[0]
    levels = tuple(
        level.model_copy(update={"mean": mean}) for level, mean in zip(tokens.levels, (0.9, 0.8, 0.7, 0.6), strict=True)
    )
    made = tokens.model_copy(update={"levels": levels})
    assert bearable(made, 0.05).value == pytest.approx((0.02 * 0.05) ** 0.5)
    flat = made.model_copy(update={"levels": tuple(level.model_copy(update={"mean": 0.9}) for level in levels)})
    view = seen(found.model_copy(update={"inputs": (flat,)}))
    (row,) = input_ledger(view).rows
    assert (row.cells[1].main, row.cells[1].tip) == ("above 20%", "the mean drop exceeds the tolerance at no amount")
    assert len(input_chart(view)["data"]) == 1


def test_tokens_begin_at_the_undisturbed_prompt_and_embeddings_do_not(view) -> None:
    tokens, embeddings = (
        next(trace for trace in input_chart(view)["data"] if trace["xaxis"] == axis) for axis in ("x", "x2")
    )
    assert (tokens["x"][0], tokens["y"][0], tokens["error_y"]["array"][0]) == (0.0, 0.9, 0.0)
    assert embeddings["x"] == [0.01, 0.03, 0.1, 0.3]
    for trace in (tokens, embeddings):
        lengths = {len(trace[part]) for part in ("x", "y", "hovertext")} | {len(trace["error_y"]["array"])}
        assert len(lengths) == 1


def test_without_disturbed_prompts_there_is_neither_chart_nor_table(one) -> None:
    assert input_chart(one) is None
    assert input_ledger(one) is None
