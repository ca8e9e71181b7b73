"""The page of a rewinding in a browser without a network: plane, panels, tables, sorting, and an empty console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import found, needs_browser, opened, too_wide, waited

from holdfast.report.rewinding.page import rewinding_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(view, tmp_path_factory) -> Iterator:
    with opened(rewinding_page(view), tmp_path_factory.mktemp("page")) as driver:
        yield driver


def rows(browser) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('#points tbody tr')].map(row => row.dataset.name)"
    )


def test_the_plane_shows_three_paths_and_three_names(browser) -> None:
    assert len(waited(browser, lambda b: found(b, "#plane .lines path.js-line"))) == 3
    names = {each.text for each in found(browser, "#plane .annotation-text")}
    assert names == {"base", "chosen, t = 0.5", "finished"}


def test_a_pointer_on_a_point_of_the_plane_tells_about_it(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    star = waited(browser, lambda b: found(b, "#plane .trace:nth-of-type(5) .points path"))[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", star)
    ActionChains(browser).move_to_element(star).perform()
    (text,) = waited(browser, lambda b: found(b, "#plane .hoverlayer .hovertext"))
    assert text.text.startswith("own, t = 0.5, chosen")


def test_along_the_way_there_are_three_panels(browser) -> None:
    assert len(waited(browser, lambda b: found(b, "#steps .cartesianlayer .subplot"))) == 3
    assert len(found(browser, "#steps .lines path.js-line")) == 9


def test_the_chosen_point_stands_out_in_the_table(browser) -> None:
    colour = "return getComputedStyle(document.querySelector('#points tr[data-name=\"{}\"] td')).backgroundColor"
    chosen, other = (browser.execute_script(colour.format(name)) for name in ("own 0.5", "own 0.25"))
    assert chosen == "rgb(233, 241, 249)"
    assert other != chosen


def test_the_table_sorts_by_a_heading_and_back_into_the_order_of_the_paths(browser) -> None:
    before = rows(browser)
    buttons = {button.text: button for button in found(browser, "#points thead button")}
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", buttons["step"])
    buttons["step"].click()
    assert rows(browser)[0] == "training trajectory 0.6"
    buttons["path and t"].click()
    buttons["path and t"].click()
    assert rows(browser) == before


def test_a_change_has_its_interval_in_a_tip(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    cell = found(browser, "#points tr[data-name='own 0.5'] td")[5]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(browser).move_to_element(cell).perform()
    (tip,) = waited(browser, lambda b: [each for each in found(b, "#tip") if each.is_displayed()])
    assert tip.text.endswith("]\nscore 0.900")


def test_nothing_is_wider_than_a_laptop(browser) -> None:
    assert too_wide(browser) == []


def test_the_console_stays_empty(browser) -> None:
    waited(browser, lambda b: found(b, "#steps .points path"))
    assert browser.get_log("browser") == []
