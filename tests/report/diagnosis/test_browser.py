"""The page of a diagnosis in a browser without a network: map, switch, profiles, sorting, and an empty console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import found, needs_browser, opened, too_wide, waited

from holdfast.report.diagnosis.page import diagnosis_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def shown(build, seven):
    """A model of usual size; one weight stands out."""
    return build(
        seven,
        28,
        outside=("lm_head",),
        values={
            ("relative_size_frobenius", "model.layers.5.mlp.up_proj"): 0.9,
            ("stable_rank", "model.layers.5.mlp.up_proj"): "made up for this test",
        },
    )


@pytest.fixture(scope="module")
def browser(shown, tmp_path_factory) -> Iterator:
    with opened(diagnosis_page(shown), tmp_path_factory.mktemp("page")) as driver:
        yield driver


def tip_of(browser, cell) -> str:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    # Away first: a pointer that is there already does not arrive.
    ActionChains(browser).move_to_element(browser.find_element("id", "quantity")).move_to_element(cell).perform()
    (tip,) = waited(browser, lambda b: [t for t in found(b, "#tip") if t.is_displayed()])
    return tip.text


def switch(browser, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", name)).select_by_value(value)


def standing_out(browser, shown):
    number = [site.name for site in shown.sites].index("model.layers.5.mlp.up_proj")
    (cell,) = found(browser, f"#map td[data-site='{number}']")
    return cell


def test_the_map_has_a_cell_for_every_weight(browser, shown) -> None:
    assert len(found(browser, "#map td[data-site]")) == 7 * 28
    assert len(found(browser, ".outside td[data-site]")) == 1
    assert standing_out(browser, shown).text == "0.90"


def test_a_pointer_on_a_cell_tells_all_about_it(browser, shown) -> None:
    tip = tip_of(browser, standing_out(browser, shown))
    assert tip.startswith("mlp.up_proj of block 5\nrelative size 0.900\nrandom update of the same size 0.200")


def test_the_switch_shows_another_quantity_and_reasons_in_tips(browser, shown) -> None:
    switch(browser, "quantity", "stable_rank")
    cell = standing_out(browser, shown)
    assert cell.text == "–"
    assert "made up for this test" in tip_of(browser, cell)
    assert found(browser, "#quantity-key")[0].text.startswith("Over how many directions")
    switch(browser, "quantity", "relative_size_frobenius")
    assert standing_out(browser, shown).text == "0.90"


def test_profiles_are_small_multiples_and_one_weight_at_a_time(browser) -> None:
    panels = waited(browser, lambda b: found(b, "#multiples .cartesianlayer .subplot"))
    assert len(panels) == 7 * 4
    assert len(waited(browser, lambda b: found(b, "#profile .lines path.js-line"))) == 4
    switch(browser, "weight", "lm_head")
    count = "return document.getElementById('profile').data.length"
    waited(browser, lambda b: b.execute_script(count) == 4)


def test_activations_have_a_dot_a_role_and_their_nulls(browser) -> None:
    dots = waited(browser, lambda b: found(b, "#geometry .points path"))
    assert len(dots) == 4 * 28 * 4


def rows(browser) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('#weights tbody tr')].map(row => row.dataset.name)"
    )


def test_the_table_sorts_by_a_heading_and_back_into_the_order_of_the_model(browser, shown) -> None:
    buttons = {button.text: button for button in found(browser, "#weights thead button")}
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", buttons["size"])
    buttons["size"].click()
    assert rows(browser)[0] == "model.layers.5.mlp.up_proj"
    buttons["stable rank"].click()
    assert rows(browser)[-1] == "model.layers.5.mlp.up_proj"
    buttons["site"].click()
    buttons["site"].click()
    assert rows(browser) == [site.name for site in shown.sites]


def test_nothing_is_wider_than_a_laptop(browser) -> None:
    assert too_wide(browser) == []


def test_the_console_stays_empty(browser) -> None:
    waited(browser, lambda b: found(b, "#geometry .points path"))
    assert browser.get_log("browser") == []
