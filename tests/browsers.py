"""Pages in a headless browser without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver on the path"),
]

SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,1000",
)


@contextmanager
def opened(html: str, folder: Path) -> Iterator:
    """A browser that shows a page from a folder, for the length of a ``with`` block."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    from selenium.webdriver.chrome.service import Service

    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in SWITCHES:
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
    """What a condition gives as soon as it gives something."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 10).until(condition)


def found(browser, selector: str) -> list:
    """All elements of a CSS selector."""
    return browser.find_elements("css selector", selector)


def too_wide(browser) -> list[str]:
    """Charts and tables that are wider than their place on the page."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.scroll, .chart')].filter(e => e.scrollWidth > e.clientWidth)"
        ".map(e => e.id || e.firstElementChild.id)"
    )
