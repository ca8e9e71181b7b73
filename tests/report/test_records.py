"""Records hold a value or a reason, and are the same for the same evidence."""

from __future__ import annotations

from holdfast.core.record import to_jsonl
from holdfast.report.analysis import analysed
from holdfast.report.records import records_of


def test_every_record_has_exactly_one_of_value_and_reason(small) -> None:
    records = records_of(small)
    assert all((record.value is None) != (record.reason is None) for record in records)
    assert {record.subject for record in records} == {point.name for point in small.points}


def test_a_failed_entrant_has_its_reason_for_gain_and_for_forgetting(small) -> None:
    failed = [record for record in records_of(small) if record.subject == "hra"]
    assert [(record.quantity, record.reason) for record in failed] == [
        ("gain", "seed 2: the loss is no longer a number"),
        ("forgetting", "seed 2: the loss is no longer a number"),
    ]


def test_records_give_changes_task_by_task_divergence_and_intervals_over_seeds(small) -> None:
    found = {(r.quantity, r.site): r for r in records_of(small) if r.subject == "oft"}
    assert {site for quantity, site in found if quantity == "change"} == {"cant", "recall", "logic", "chronicle"}
    assert found["kl_from_base", "chronicle"].unit == "nats/token"
    assert found["gain_over_seeds", ""].spread == small.point("oft").gain_seed_interval
    assert found["gain", ""].spread == small.point("oft").gain_interval


def test_the_same_evidence_gives_the_same_records(build, made) -> None:
    evidence = build({"lora": made(), "oft": made(0.8)})
    assert to_jsonl(records_of(analysed(evidence))) == to_jsonl(records_of(analysed(evidence)))
