"""The page in a browser without a network: maps, curves, pickers, tips, sorting, and an empty console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import found, needs_browser, opened, too_wide, waited

from holdfast.report.sequence.page import sequence_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(eighteen, tmp_path_factory) -> Iterator:
    with opened(sequence_page(eighteen), tmp_path_factory.mktemp("page")) as driver:
        yield driver


def pick(browser, element: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(found(browser, element)[0]).select_by_value(value)


def test_there_is_a_dot_an_entrant(browser) -> None:
    assert len(waited(browser, lambda b: found(b, "#plane .points path"))) == 18


def test_maps_have_a_row_a_stage_and_frame_what_was_just_trained(browser) -> None:
    assert len(waited(browser, lambda b: found(b, "#map-0 tbody tr"))) == 6
    assert len(found(browser, "#map-0 tbody td")) == 6 * 8
    assert len(found(browser, "#map-0 td.just")) == 5
    assert found(browser, "#map-0 caption")[0].text.startswith("full")


def test_a_pointer_on_a_cell_tells_what_was_lost(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    cell = found(browser, "#map-0 tbody tr:last-child td")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(browser).move_to_element(cell).perform()
    (tip,) = waited(browser, lambda b: [t for t in found(b, "#tip") if t.is_displayed()])
    assert tip.text.startswith("recall after stage 5 (endings)")
    assert "since it was trained \N{MINUS SIGN}0." in tip.text


def test_another_order_turns_maps_and_curves(browser) -> None:
    def heads(b) -> list[str]:
        return [head.get_attribute("textContent") for head in found(b, "#map-1 thead th span")]

    assert heads(browser)[:2] == ["recall", "sums"]
    pick(browser, "#order", "1")
    assert heads(browser)[:2] == ["sums", "cant"]
    first = "return document.getElementById('courses').layout.annotations[0].text"
    assert browser.execute_script(first).startswith("sums")
    pick(browser, "#order", "0")


def test_curves_have_a_line_for_everybody_and_bands_for_those_picked(browser) -> None:
    names = waited(browser, lambda b: found(b, "#courses .cartesianlayer .subplot"))
    assert len(names) == 8
    count = "return document.getElementById('courses').data.filter(trace => trace.fill === 'toself').length"
    lines = "return document.getElementById('courses').data.filter(trace => trace.fill !== 'toself').length"
    assert browser.execute_script(count) == 2 * 8
    assert browser.execute_script(lines) == 18 * 8


def test_an_entrant_that_broke_off_in_an_order_is_told_by_its_seeds(browser) -> None:
    pick(browser, "#shown-1", "o_lora")
    assert found(browser, "#map-1 caption")[0].text == "o_lora mean of 2 seeds"


def test_switches_show_one_block_at_a_time(browser) -> None:
    for select, blocks in (("#against", ".against"), ("#chain", ".chain")):
        pick(browser, select, "1")
        shown = [block.get_attribute("data-place") for block in found(browser, blocks) if block.is_displayed()]
        assert shown == ["1"]
        pick(browser, select, "0")


def test_the_table_sorts_by_a_heading(browser) -> None:
    button = next(b for b in found(browser, "#ledger thead button") if b.text == "backward transfer")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    rows = [row.get_attribute("data-name") for row in found(browser, "#ledger tbody tr")]
    assert rows[0] in {"replay_10", "trace_probe_exclude"}
    assert set(rows[-3:]) == {"lora alone", "full jointly", "untouched base"}


def test_nothing_is_wider_than_a_laptop(browser) -> None:
    assert too_wide(browser) == []


def test_the_console_stays_empty(browser) -> None:
    assert browser.get_log("browser") == []
