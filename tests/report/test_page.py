"""The page is one file, needs no network, and says what it should."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml
from plotly.offline import get_plotlyjs

from holdfast.report.analysis import analysed
from holdfast.report.page import page


@pytest.fixture(scope="module")
def html(small) -> str:
    return page(small)


@pytest.fixture(scope="module")
def own(html: str) -> str:
    """The page without plotly.js."""
    return html.replace(get_plotlyjs(), "")


def test_plotly_is_on_the_page_exactly_once(html: str) -> None:
    assert html.count(get_plotlyjs()) == 1


def test_nothing_is_loaded_from_anywhere(own: str) -> None:
    assert not re.search(r"""\b(src|href|action|data)\s*=\s*["']""", own)
    assert not re.search(r"@import|url\(|https?:|//cdn", own)
    assert "default-src 'none'" in own


def test_all_sections_are_there_in_order(own: str) -> None:
    sections = re.findall(r'<section id="([^"]+)"', own)
    assert sections == ["trade-off", "steps", "tasks", "numbers", "reading", "recipe"]


def test_title_verdict_notes_and_failures_stand_before_the_first_chart(own: str) -> None:
    top = own[own.index("<body>") : own.index('id="trade-off"')]
    assert "6 fine-tuning methods on miniature, learning “cant”" in top
    assert "the largest gain measured is that of oft" in top
    assert "2 seeds: intervals cover items and seeds" in top
    assert "1 without a result" in top
    assert "seed 2: the loss is no longer a number" in top


def test_the_tables_have_a_row_for_everybody(own: str, small) -> None:
    rows = re.findall(r'<tr data-name="([^"]+)"', own)
    assert sorted(rows) == sorted(point.name for point in small.points)
    assert own.count("no result: seed 2: the loss is no longer a number") == 2


def test_the_recipe_can_be_read_back(own: str, small) -> None:
    text = re.search(r'<pre id="yaml">(.*?)</pre>', own, re.DOTALL)
    assert text is not None
    assert yaml.safe_load(text.group(1)) == small.recipe


def test_what_a_name_contains_cannot_become_part_of_the_page(build, made) -> None:
    odd = '</script><img src="x">'
    own = page(analysed(build({odd: made(), "lora": made()}))).replace(get_plotlyjs(), "")
    assert "<img" not in own
    assert own.count("</script>") == 4
    figure = re.search(r'id="tradeoff-figure">(.*?)</script>', own, re.DOTALL)
    assert figure is not None
    assert any("img src" in trace.get("name", "") for trace in json.loads(figure.group(1))["data"])


def test_a_comparison_in_which_everybody_failed_still_has_a_page(build, made) -> None:
    own = page(analysed(build({"lora": made(failure="out of memory")}))).replace(get_plotlyjs(), "")
    assert "No method has a result, so there is nothing to compare." in own
    assert 'id="tradeoff"' not in own
    assert "no result: seed 2: out of memory" in own


def test_a_folder_of_the_base_shows_in_the_recipe_alone(build, made) -> None:
    evidence = build({"lora": made()}).model_copy(update={"base": "/home/someone/models/mine"})
    own = page(analysed(evidence))
    assert "/home/someone" not in own
    assert "1 fine-tuning method on mine" in own


def test_nothing_of_this_room_loads_torch() -> None:
    code = (
        "import sys, importlib, pkgutil, holdfast.report as room\n"
        "for module in pkgutil.iter_modules(room.__path__): importlib.import_module('holdfast.report.' + module.name)\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'matplotlib', 'plotly') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
