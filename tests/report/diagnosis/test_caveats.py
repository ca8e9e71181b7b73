"""What must be minded stands on the page and in the summary, and is silent where nothing is wrong."""

from __future__ import annotations

from holdfast.core.diagnosis import UPDATE, Diagnosis
from holdfast.core.record import Record
from holdfast.report.diagnosis.caveats import caveats
from holdfast.report.diagnosis.page import diagnosis_page
from holdfast.report.diagnosis.summary import diagnosis_summary


def with_rows(diagnosis: Diagnosis, *rows: float) -> Diagnosis:
    added = [
        Record(subject=UPDATE, quantity="rows_per_dimension/general", site=f"module {at}", value=value)
        for at, value in enumerate(rows)
    ]
    return diagnosis.model_copy(update={"records": (*diagnosis.records, *added)})


def test_modules_heard_on_too_few_tokens_are_counted(small: Diagnosis) -> None:
    (said,) = caveats(with_rows(small, 3.0, 9.9, 10.0))
    assert said.startswith("On general prompts 2 of 3 modules were listened to on fewer than 10 tokens for each dim")
    (alone,) = caveats(with_rows(small, 3.0))
    assert alone.startswith("On general prompts the only module was listened to")
    assert caveats(with_rows(small, 10.0, 25.0)) == caveats(small) == ()


def test_notes_and_caveats_stand_on_page_and_in_summary(small: Diagnosis) -> None:
    odd = with_rows(small, 3.0).model_copy(update={"notes": ("the adapter turns against its record",)})
    assert caveats(odd)[0] == "The adapter turns against its record"
    for text in (diagnosis_page(odd), diagnosis_summary(odd)):
        assert "Read with care" in text and "The adapter turns against its record" in text
    assert "Read with care" not in diagnosis_page(small) + diagnosis_summary(small)
