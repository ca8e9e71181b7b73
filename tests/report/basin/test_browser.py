"""The page of basins in a browser without a network: charts, tables, tips, folds, and an empty console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import found, needs_browser, opened, too_wide, waited

from holdfast.report.basin.page import basin_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(view, before, tmp_path_factory) -> Iterator:
    with opened(basin_page(view, before), tmp_path_factory.mktemp("page")) as driver:
        yield driver


def test_every_ability_has_a_panel_a_strip_and_five_lines(browser) -> None:
    assert len(waited(browser, lambda b: found(b, "#curves .cartesianlayer .subplot"))) == 12
    assert len(found(browser, "#curves .subplot.xy .lines path.js-line")) == 6  # five directions and the band
    labels = {each.text for each in found(browser, "#curves .ytick text")}
    assert {"0", "0.2", "1"} <= labels
    assert [each.text for each in found(browser, "#curves .y2tick text")] == ["0", "all"]


def test_the_length_stands_below_sigma(browser) -> None:
    tick = waited(browser, lambda b: found(b, "#curves .x2tick text"))[0]
    assert [line.text for line in found(tick, "tspan.line")] == ["0.0003", "0.24"]


def test_a_pointer_on_a_fine_tune_tells_about_it(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    mark = waited(browser, lambda b: found(b, "#strip .trace:nth-of-type(2) .points path"))[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    ActionChains(browser).move_to_element(mark).perform()
    (text,) = waited(browser, lambda b: found(b, "#strip .hoverlayer .hovertext"))
    assert text.text.startswith("normal, refusals")


def test_the_table_of_widths_sorts_by_its_numbers(browser) -> None:
    button = found(browser, "#widths thead button")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    names = "return [...document.querySelectorAll('#widths tbody tr')].map(row => row.dataset.name)"
    assert browser.execute_script(names) == ["recall", "two_hop_reasoning", "order", "sums", "refusals", "chronicle"]


def test_every_decision_shows_in_a_tip(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    cell = found(browser, "#widths tr[data-name='sums'] td")[7]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(browser).move_to_element(cell).perform()
    (tip,) = waited(browser, lambda b: [each for each in found(b, "#tip") if each.is_displayed()])
    assert tip.text.startswith("sigma 0.032: outside, 9 directions")


def test_nothing_is_wider_than_a_laptop(browser) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert too_wide(browser) == []


def test_the_console_stays_empty(browser) -> None:
    waited(browser, lambda b: found(b, "#compared .points path"))
    assert browser.get_log("browser") == []
