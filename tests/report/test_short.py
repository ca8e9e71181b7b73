"""Short tables and lists, in Markdown and on a terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from holdfast.report.short import ShortTable, below, bulleted, fitted, itemised, markdown, opened

TABLE = ShortTable(("", "first", "second"), (("a|b", "1.234", "5.678"), ("c", "", "9")))


def printed(*shown, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(*shown)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_in_markdown_escapes_what_would_part_its_cells() -> None:
    assert markdown(TABLE) == ("|  | first | second |\n|---|---:|---:|\n| a\\|b | 1.234 | 5.678 |\n| c |  | 9 |")


def test_a_report_begins_with_its_title_what_was_found_and_what_must_be_minded() -> None:
    assert printed(*opened("Title", ["one", "two"], ["mind"]), width=40) == [
        "Title", "\N{BULLET} one", "\N{BULLET} two", "  mind",
    ]  # fmt: skip
    assert printed(below(TABLE, 40, ["", ""]), width=40)[0] == ""


def test_an_item_of_a_list_is_one_line() -> None:
    assert itemised(["one\n two", "three"]) == "- one two\n- three"


@pytest.mark.parametrize(("width", "cells"), [(40, ["a|b", "1.234", "5.678"]), (14, ["a|b", "1.234"]), (6, ["a|b"])])
def test_a_terminal_shows_as_many_columns_as_it_has_room_for(width: int, cells: list[str]) -> None:
    lines = printed(fitted(TABLE, width, ["", ""]), width=width)
    assert next(line for line in lines if line.startswith("a|b")).split() == cells


def test_lines_of_a_list_are_set_in_below_their_bullet() -> None:
    assert printed(*bulleted(["one two three"]), width=9) == ["• one two", "  three"]
