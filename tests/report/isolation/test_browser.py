"""The section in a browser without a network: lines, the switch, tips, and an empty console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import found, needs_browser, opened, too_wide, waited

from holdfast.report.analysis import analysed
from holdfast.report.page import page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(evidence, tmp_path_factory) -> Iterator:
    with opened(page(analysed(evidence)), tmp_path_factory.mktemp("page")) as driver:
        yield driver


def test_there_is_a_line_in_each_panel(browser) -> None:
    waited(browser, lambda b: found(b, "#choices .lines path.js-line"))
    assert len(found(browser, "#choices .legend .traces")) == 4
    assert len(found(browser, "#choices .shapelayer path")) == 2


def test_the_switch_shows_the_choices_of_another_entrant(browser) -> None:
    from selenium.webdriver.support.ui import Select

    bars = "return document.getElementById('choice').data.filter(trace => trace.type === 'bar').length"
    waited(browser, lambda b: found(b, "#choice .points path"))
    switch = Select(browser.find_element("id", "held"))
    assert browser.execute_script(bars) == 1
    switch.select_by_value("static")
    waited(browser, lambda b: b.execute_script(bars) == 0)
    switch.select_by_value("epi")
    waited(browser, lambda b: b.execute_script(bars) == 1)


def test_headings_do_not_lie_on_one_another(browser) -> None:
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('#choice .annotation')].map(a => a.getBoundingClientRect().toJSON())"
    )
    assert len(boxes) == 3
    assert boxes[0]["right"] < boxes[1]["left"] and boxes[0]["bottom"] < boxes[2]["top"]


def test_a_pointer_on_a_number_tells_every_seed(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    cell = next(c for c in found(browser, "#held-ledger td") if "seed 2" in (c.get_attribute("data-tip") or ""))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(browser).move_to_element(cell).perform()
    (tip,) = waited(browser, lambda b: [t for t in found(b, "#tip") if t.is_displayed()])
    assert "seed 1" in tip.text


def test_the_table_sorts(browser) -> None:
    rows = "return [...document.querySelectorAll('#held-ledger tbody tr')].map(row => row.dataset.name)"
    button = next(b for b in found(browser, "#held-ledger thead button") if b.text == "first and last")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    assert browser.execute_script(rows) == ["noisy", "epi", "random", "static"]


def test_nothing_is_wider_than_a_laptop(browser) -> None:
    assert too_wide(browser) == []


def test_the_console_stays_empty(browser) -> None:
    waited(browser, lambda b: found(b, "#choice .heatmaplayer image"))
    assert browser.get_log("browser") == []
