"""The section stands on the page of a comparison in which something was held, and nowhere else."""

from __future__ import annotations

import json
import re

import pytest
from plotly.offline import get_plotlyjs

from holdfast.report.analysis import analysed
from holdfast.report.page import page
from holdfast.report.summary import summary


def own_part(evidence) -> str:
    return page(analysed(evidence)).replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def own(evidence) -> str:
    return own_part(evidence)


def test_the_section_stands_after_the_numbers(own: str) -> None:
    sections = re.findall(r'<section id="([^"]+)"', own)
    assert sections == ["trade-off", "steps", "tasks", "numbers", "isolation", "reading", "recipe"]


def test_a_comparison_in_which_nothing_was_held_shows_nothing_of_it(small) -> None:
    own = page(small).replace(get_plotlyjs(), "")
    for word in ("isolation", "held-ledger", "choice-data", "choices-figure", ".found"):
        assert word not in own


def test_nothing_is_loaded_from_anywhere(own: str) -> None:
    assert not re.search(r"""\b(src|href|action|data)\s*=\s*["']""", own)
    assert not re.search(r"@import|url\(|https?:|//cdn", own)


def test_the_section_says_what_moved_how_it_was_seen_and_shows_all_of_it(own: str) -> None:
    section = own[own.index('<section id="isolation"') : own.index('<section id="reading"')]
    for words in (
        "epi drifts: of what it held at step 20",
        "noisy moves but does not drift on",
        "Chose once and never anew: static (at step 20).",
        "At chance, as random controls should be: random.",
        "epi: Importance was seen before clipping.",
        "noisy: Importance was seen after clipping.",
    ):
        assert words in section
    assert sorted(re.findall(r'<tr data-name="([^"]+)"', section)) == ["epi", "noisy", "random", "static"]
    # Those of which most is to be seen come first.
    assert re.findall(r'<option value="([^"]+)"', section)[-2:] == ["random", "static"]


def test_the_summary_says_it_in_short(evidence, small) -> None:
    text = summary(analysed(evidence))
    assert "## Held still\n\n- epi drifts: of what it held at step 20" in text
    assert "- Chose once and never anew: static (at step 20)." in text
    assert "Held still" not in summary(small)


def test_the_switch_has_a_figure_for_everyone_it_names(own: str) -> None:
    text = re.search(r'id="choice-data">(.*?)</script>', own, re.DOTALL)
    assert set(json.loads(text.group(1))) == set(re.findall(r'<option value="([^"]+)"', own))


def test_what_a_name_or_a_note_contains_cannot_become_part_of_the_page(build, made, holding, course) -> None:
    odd = '</script><img src="x">'
    found = holding(build({odd: made(), "lora": made()}), {odd: [course("drift", notes=(odd,))]})
    assert "<img" not in own_part(found)


def test_only_standing_choices_without_shares_leave_verdict_and_table(build, made, holding, course) -> None:
    standing = course("drift", choices=1).model_copy(update={"shares": ()})
    own = own_part(holding(build({"static": made()}), {"static": [standing] * 2}))
    assert "Chose once and never anew: static" in own and 'id="held-ledger"' in own
    for word in ('id="choices"', 'id="choice"', "<select", 'id="choice-data"', 'id="choices-figure"'):
        assert word not in own


def test_forty_entrants_add_less_than_a_megabyte(build, made, holding, course) -> None:
    names = [f"epi-{place}" for place in range(40)]
    bare = build({name: made() for name in names}, seeds=(1,), resamples=20)
    drifting = course("drift", choices=40)
    added = len(own_part(holding(bare, {name: [drifting] for name in names}))) - len(own_part(bare))
    assert 0 < added < 1_000_000
