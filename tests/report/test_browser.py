"""The page in a browser without a network: dots, hovering, sorting, and nothing on the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import found, needs_browser, opened, waited

from holdfast.report.page import page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(small, tmp_path_factory) -> Iterator:
    with opened(page(small), tmp_path_factory.mktemp("page")) as driver:
        yield driver


def test_there_is_a_dot_for_everyone_with_a_result(browser, small) -> None:
    dots = waited(browser, lambda b: found(b, "#tradeoff .points path"))
    assert len(dots) == len([point for point in small.points if point.failure is None])


def test_a_pointer_on_a_dot_brings_up_its_name_and_numbers(browser, small) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    dots = waited(browser, lambda b: found(b, "#tradeoff .points path"))
    names = browser.execute_script(
        "return document.getElementById('tradeoff').data.filter(trace => trace.error_x).map(trace => trace.name)"
    )
    dot = dots[names.index("oft")]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", dot)
    ActionChains(browser).move_to_element(dot).perform()
    (label,) = waited(browser, lambda b: found(b, "#tradeoff .hoverlayer .hovertext"))
    text = label.get_attribute("textContent")
    assert text.startswith("oft")
    assert f"{small.point('oft').gain:.3f}" in text
    assert f"{small.point('oft').forgetting:.3f}" in text


def test_the_steps_have_two_panels_with_a_line_for_everyone(browser) -> None:
    assert len(found(browser, "#course .lines path.js-line")) == 2 * 5
    assert len(found(browser, "#course .legend .traces")) == 5


def rows(browser) -> list[str]:
    return [row.get_attribute("data-name") for row in found(browser, "#ledger tbody tr")]


def test_the_table_sorts_by_a_heading_with_failures_last(browser, small) -> None:
    assert len(rows(browser)) == len(small.points)
    button = next(b for b in found(browser, "#ledger thead button") if b.text == "forgetting")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    scored = sorted((p for p in small.points if p.failure is None), key=lambda p: -p.forgetting)
    button.click()
    assert rows(browser) == [*(point.name for point in scored), "hra"]
    button.click()
    assert rows(browser)[0] == scored[-1].name
    assert rows(browser)[-1] == "hra"


def test_the_table_sorts_by_name(browser, small) -> None:
    button = found(browser, "#ledger thead button")[0]
    button.click()
    assert rows(browser) == sorted(point.name for point in small.points)


def test_a_pointer_on_a_cell_tells_the_interval(browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    cell = next(
        cell for cell in found(browser, ".heat td") if "oft on recall" in (cell.get_attribute("data-tip") or "")
    )
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(browser).move_to_element(cell).perform()
    (tip,) = waited(browser, lambda b: [t for t in found(b, "#tip") if t.is_displayed()])
    assert "change" in tip.text
    assert "[" in tip.text


def test_nothing_is_wider_than_a_laptop(browser) -> None:
    wide = browser.execute_script(
        "return [...document.querySelectorAll('.scroll, .chart')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert wide == 0


def test_the_console_stays_empty(browser) -> None:
    waited(browser, lambda b: found(b, "#course .legend"))
    assert browser.get_log("browser") == []
