"""The page in a browser without a network: panels, switch, legend, sorting, tips, and an empty console."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from browsers import found, needs_browser, opened, too_wide, waited

from holdfast.report.relations.analysis import related
from holdfast.report.relations.page import relations_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(build, tmp_path_factory) -> Iterator:
    answer = related(build(families=12, constant=["diagonal_frac"]), 100)
    with opened(relations_page(answer), tmp_path_factory.mktemp("page")) as driver:
        yield driver


def upright(browser) -> str:
    return browser.execute_script("return document.getElementById('scatters').layout.yaxis.title.text")


def test_there_is_a_panel_a_measure_and_a_dot_a_checkpoint(browser) -> None:
    assert len(waited(browser, lambda b: found(b, "#scatters .cartesianlayer .subplot"))) == 4
    assert len(waited(browser, lambda b: found(b, "#scatters .points path"))) == 4 * 36
    assert len(found(browser, "#scatters .legend .traces")) == 12


def test_headings_do_not_reach_into_the_next_panel(browser) -> None:
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('#scatters .annotation')].map(a => a.getBoundingClientRect().toJSON())"
    )
    assert len(boxes) == 4
    for one, other in pairwise(boxes):
        assert one["right"] < other["left"]


def test_a_pointer_on_a_dot_tells_all_about_it(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    dot = waited(browser, lambda b: found(b, "#scatters .points path"))[-1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", dot)
    ActionChains(browser).move_to_element(browser.find_element("id", "outcome")).move_to_element(dot).perform()
    (text,) = waited(browser, lambda b: [t.text for t in found(b, "#scatters .hoverlayer .hovertext")])
    for word in ("method", "seed", "step 10", "diagonal share 0.5", "forgetting", "gain"):
        assert word in text


def test_the_switch_shows_the_gain_and_a_hidden_method_stays_hidden(browser) -> None:
    from selenium.webdriver.support.ui import Select

    assert upright(browser) == "forgetting"
    heading = "return document.querySelectorAll('#scatters .annotation')[1].textContent"
    before = browser.execute_script(heading)
    toggle = found(browser, "#scatters .legendtoggle")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", toggle)
    toggle.click()
    waited(browser, lambda b: len(found(b, "#scatters .points path")) == 4 * 33)
    Select(browser.find_element("id", "outcome")).select_by_value("gain")
    waited(browser, lambda b: upright(b) == "gain")
    assert browser.execute_script(heading) != before
    waited(browser, lambda b: len(found(b, "#scatters .points path")) == 4 * 33)
    Select(browser.find_element("id", "outcome")).select_by_value("forgetting")
    waited(browser, lambda b: upright(b) == "forgetting")
    assert browser.execute_script(heading) == before


def test_the_table_sorts_by_strength_and_back(browser) -> None:
    rows = "return [...document.querySelectorAll('#relations tbody tr')].map(row => row.dataset.name)"
    order = browser.execute_script(rows)
    buttons = {button.text: button for button in found(browser, "#relations thead button")}
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", buttons["r"])
    buttons["r"].click()
    assert browser.execute_script(rows)[0] == "CKA, biased, general"
    assert browser.execute_script(rows)[-1] == "diagonal share"
    buttons["measure"].click()
    buttons["measure"].click()
    assert browser.execute_script(rows) == order


def test_nothing_is_wider_than_a_laptop(browser) -> None:
    assert too_wide(browser) == []


def test_the_console_stays_empty(browser) -> None:
    waited(browser, lambda b: found(b, "#scatters .points path"))
    assert browser.get_log("browser") == []
