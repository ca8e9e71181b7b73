"""The page in a browser without a network: dots, hovering, sorting, and nothing on the console."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from holdfast.report.page import page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver on the path"),
]


@pytest.fixture(scope="module")
def browser(small, tmp_path_factory) -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    from selenium.webdriver.chrome.service import Service

    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(small), encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=1280,1000",
    ):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        driver.get(file.as_uri())
        yield driver
    finally:
        driver.quit()


def waited(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 10).until(condition)


def found(browser, selector: str) -> list:
    return browser.find_elements("css selector", selector)


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
