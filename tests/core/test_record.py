"""A record holds a value or the reason why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.core.errors import DamagedCheckpoint
from holdfast.core.record import Record, read_jsonl, to_jsonl

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite | st.none(), st.text() | st.none())
def test_exactly_one_of_value_and_reason_is_given(value: float | None, reason: str | None) -> None:
    if (value is None) != (reason is None):
        record = Record(subject="lora", quantity="forgetting", value=value, reason=reason)
        assert (record.value, record.reason) == (value, reason)
        return
    with pytest.raises(ValidationError, match="a value or the reason why there is none, and never both"):
        Record(subject="lora", quantity="forgetting", value=value, reason=reason)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_no_value(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Record(subject="lora", quantity="forgetting", value=number)
    with pytest.raises(ValidationError, match="finite"):
        Record(subject="lora", quantity="forgetting", value=0.0, spread=(number, 0.0))


@given(
    st.lists(
        st.builds(
            Record,
            subject=st.text(),
            quantity=st.text(),
            site=st.text(),
            value=finite,
            unit=st.text(),
            spread=st.none() | st.tuples(finite, finite),
            seed=st.none() | st.integers(),
        ),
        max_size=4,
    )
)
def test_records_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    file = tmp_path_factory.mktemp("records") / "records.jsonl"
    file.write_text(to_jsonl(records), encoding="utf-8", newline="")
    assert list(read_jsonl(file)) == records


def test_absent_fields_are_left_out() -> None:
    line = to_jsonl([Record(subject="lora", quantity="kl", reason="no base at hand")])
    assert line == '{"subject":"lora","quantity":"kl","site":"","reason":"no base at hand","unit":""}\n'


@pytest.mark.parametrize("line", ['{"subject": "lora"}', "not JSON", '{"subject":"a","quantity":"b","extra":1}', ""])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "records.jsonl"
    good = to_jsonl([Record(subject="lora", quantity="kl", value=1.0)])
    file.write_text(f"{good}{line}\n", encoding="utf-8")
    with pytest.raises(DamagedCheckpoint, match=r"records\.jsonl, line 2: not a record \("):
        list(read_jsonl(file))
