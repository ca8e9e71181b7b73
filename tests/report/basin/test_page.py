"""The page of a measurement of basins: what it holds, what it leaves out, and what it never says."""

from __future__ import annotations

import re

import pytest

from holdfast.report.basin.page import basin_page
from holdfast.report.basin.seen import seen


def sections(html: str) -> list[str]:
    return re.findall(r'<section id="([\w-]+)">', html)


@pytest.fixture(scope="module")
def html(view, before) -> str:
    return basin_page(view, before)


def test_the_page_holds_everything_that_was_found(html) -> None:
    assert sections(html) == [
        "how-wide", "curves-section", "fine-tunes", "certified", "prompts", "before-after", "reading", "measured",
    ]  # fmt: skip
    assert re.search(r"<h1>Of those whose width is known, “refusals” breaks first under random moves", html)
    assert "Against adamw, basins are so many times as wide" in html
    assert "<summary>Certificates for the fine-tunes that are at hand: 18, of which 18 vacuous</summary>" in html


def test_what_is_not_there_has_no_section(one) -> None:
    html = basin_page(one)
    assert sections(html) == ["how-wide", "curves-section", "reading", "measured"]
    assert "random moves as far</span>" not in html


def test_a_measurement_without_anything_still_has_a_page(build) -> None:
    bare = build({}, recipe={}, command=None)
    html = basin_page(seen(bare))
    assert sections(html) == ["reading", "measured"]
    assert "make it anew</dt>" not in html
    assert "Every option" not in html


def test_what_was_moved_and_given_back_is_told(html) -> None:
    for name, text in (
        ("coordinates d", "640,000; root 800"),
        ("type of the weights", "float32"),
        ("noise lost to rounding", "62% at sigma 0.0003 and 4.0% at sigma 0.005"),
        ("hash of the weights before", "9f8e7d6c"),
        ("hash of the weights after", "9f8e7d6c, the same"),
        ("self-noise, sums", "0% of the items answered otherwise"),
        ("make it anew", "<code>holdfast basin miniature --suite general --output_dir basin</code>"),
    ):
        assert f"<dt>{name}</dt><dd>{text}</dd>" in html
    assert "suite: general" in html


def test_what_was_not_recorded_is_said_to_be_so(build) -> None:
    html = basin_page(seen(build(environment={}, lost_frac=())))
    assert "<dt>type of the weights</dt><dd>not recorded</dd>" in html
    assert "<dt>noise lost to rounding</dt><dd>not looked at</dd>" in html


def test_every_certificate_stands_with_its_sentence(html, view) -> None:
    lines = re.findall(r'<tr class="line"><td colspan="9">(.*?)</td>', html)
    assert len(lines) == 30
    assert all(line.endswith("It bounds the model under noise, never the fine-tuned model itself.") for line in lines)
    assert sum("vacuous (chance is 0.25)." in line for line in lines) == 18


def test_tokens_are_never_given_a_guarantee(html) -> None:
    assert "about replaced tokens nothing is guaranteed by a basin in the weights, however wide" in html


def test_two_models_without_an_ability_in_common_are_not_compared(build, one) -> None:
    html = basin_page(one, seen(build({"other": 0.004})))
    assert "before-after" in sections(html)
    assert "The two have no ability in common whose curve along random directions was walked in both." in html


def test_names_are_escaped(build) -> None:
    html = basin_page(seen(build({"<b>x": 0.004}, {"/runs/<i>y": (0.003, 1.0)})))
    assert "<b>x" not in html
    assert "<i>y" not in html
