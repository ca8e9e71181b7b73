"""The page is one file that needs no network, and its folder holds everything else."""

from __future__ import annotations

import re

import pytest
from plotly.offline import get_plotlyjs

from holdfast.core.foretelling import LeftOut
from holdfast.core.record import read_jsonl
from holdfast.report.relations.analysis import related
from holdfast.report.relations.page import relations_page
from holdfast.report.relations.publish import publish_relations
from holdfast.report.relations.records import records_of
from holdfast.report.relations.table import relations_table

CKA = "cka_biased/general"


@pytest.fixture(scope="module")
def whole(answer) -> str:
    return relations_page(answer)


@pytest.fixture(scope="module")
def own(whole: str) -> str:
    return whole.replace(get_plotlyjs(), "")


def test_plotly_is_on_the_page_exactly_once(whole: str) -> None:
    assert whole.count(get_plotlyjs()) == 1


def test_nothing_is_loaded_from_anywhere(own: str) -> None:
    assert not re.search(r"""\b(src|href|action|data)\s*=\s*["']""", own)
    assert not re.search(r"@import|url\(|https?:|//cdn", own)
    assert "default-src 'none'" in own


def test_all_sections_are_there_in_order(own: str) -> None:
    assert re.findall(r'<section id="([^"]+)"', own) == ["panels", "numbers", "reading", "measures"]


def test_the_answer_stands_before_the_first_chart(own: str) -> None:
    top = own[own.index("<body>") : own.index('id="panels"')]
    assert "Does geometry foretell what sums makes tiny forget?" in top
    assert "Beyond what the size of the update tells, 1 of 2 measures goes with forgetting" in top
    assert "18 checkpoints of 6 methods and 3 seeds" in top
    assert "98 general and 90 target, 6 tokens of each" in top
    assert "last ones, on test items" in top
    assert "Read with care" not in top


def test_what_must_be_minded_and_what_is_missing_is_told(build) -> None:
    found = build(families=4, draws=0)
    settings = found.settings.model_copy(update={"every_checkpoint": True})
    left = (LeftOut(family="norms", seed=1, step=10, reason="no <matrix>"),)
    told = found.model_copy(update={"left_out": left, "settings": settings, "prompts": {}})
    own = relations_page(related(told, 50)).replace(get_plotlyjs(), "")
    assert "Read with care" in own and "Fewer than five methods: the intervals are indicative only." in own
    assert "Not measured: norms seed 1 step 10 (no &lt;matrix&gt;)." in own
    assert "every checkpoint, on validation items" in own and "none, 6 tokens of each" in own
    assert "then evaluation items" not in own


def test_the_folder_holds_page_figure_table_and_records(answer, tmp_path) -> None:
    assert publish_relations(answer, tmp_path / "geometry") == tmp_path / "geometry" / "report.html"
    names = {str(p.relative_to(tmp_path / "geometry")) for p in (tmp_path / "geometry").rglob("*") if p.is_file()}
    assert names == {"report.html", "geometry.md", "records.jsonl", "figures/geometry.png", "figures/geometry.pdf"}
    assert (tmp_path / "geometry" / "geometry.md").read_text() == relations_table(answer)
    assert list(read_jsonl(tmp_path / "geometry" / "records.jsonl")) == records_of(answer)


def test_records_hold_every_number_once(answer) -> None:
    records = {(record.subject, record.quantity, record.site): record for record in records_of(answer)}
    assert len(records) == len(records_of(answer))
    cka = answer.others[0]
    assert records[CKA, "pearson", ""].value == cka.pearson.value
    assert records[CKA, "pearson", ""].spread == tuple(cka.pearson.spread)
    assert records[CKA, "spearman_given_log_size_and_gain", ""].value == cka.partials[-1].spearman.value
    assert records[CKA, "p_adjusted", ""].value == cka.adjusted_p
    assert records[CKA, "pearson_with_gain", ""].value == answer.with_gain[CKA].value
    assert records[CKA, "pearson_without", "method 3"].value == cka.left_out.without[3].pearson
    assert records["log size", "r_squared_left_out", ""].value == cka.baselines[1].r_squared


def test_records_of_one_method_hold_reasons(build) -> None:
    records = {(r.subject, r.quantity): r for r in records_of(related(build(families=1, seeds=9), 50))}
    for quantity in ("pearson_without", "r_squared_left_out", "p_adjusted"):
        record = records[CKA, quantity]
        assert record.value is None and "at least two families" in record.reason
