"""A diagnosis is read from its file as it was written, and a file that holds none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.core.diagnosis import CONTROL, MISMATCHED, UPDATE, Curve, Diagnosis, Prompts, Site, read_diagnosis
from holdfast.core.errors import DamagedCheckpoint
from holdfast.core.record import Record

SITE = "model.layers.3.mlp.down_proj"
FOUND = Diagnosis(
    base="base",
    tuned="out/step-1",
    form="lora adapter",
    moved_params=12,
    base_params=345,
    sites=(
        Site(name=SITE, block=3, module="mlp.down_proj", shape=(64, 96)),
        Site(name="lm_head", block=None, module="lm_head"),
    ),
    prompts=(Prompts(role="general", source="g.txt", count=3, tokens=24),),
    records=(
        Record(subject=UPDATE, quantity="drift_relative/general", site=SITE, value=0.5, spread=(0.4, 0.6)),
        Record(subject=CONTROL, quantity="stable_rank", site=SITE, reason="undefined: zero update"),
    ),
    curves=(Curve(subject=UPDATE, quantity="retention", site=SITE, values=(0.25, 0.0)),),
    notes=("its rotations are rough",),
    environment={"torch": "2"},
)


@pytest.mark.parametrize("exclude_none", [True, False])
def test_a_diagnosis_is_read_as_it_was_written(tmp_path: Path, exclude_none: bool) -> None:
    file = tmp_path / "diagnosis.json"
    file.write_text(FOUND.model_dump_json(exclude_none=exclude_none))
    assert read_diagnosis(file) == FOUND


def test_a_missing_file_is_named_with_what_may_have_happened(tmp_path: Path) -> None:
    with pytest.raises(DamagedCheckpoint) as caught:
        read_diagnosis(tmp_path / "diagnosis.json")
    assert str(caught.value) == f"{tmp_path / 'diagnosis.json'} is missing: was the diagnosis finished?"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"base": ', "Invalid JSON: EOF while parsing a value at line 1 column 9"),
        (b"{}", "Field required"),
        (b"[]", "Input should be an object"),
        (b"\xff\xfe", "it is not text in UTF-8"),
        (FOUND.model_dump_json().replace('"base":', '"bass":1,"base":').encode(), "Extra inputs are not permitted"),
        (FOUND.model_dump_json().replace('"value":0.5', '"value":NaN').encode(), "Input should be a finite number"),
    ],
)
def test_a_file_that_holds_no_diagnosis_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / "diagnosis.json"
    file.write_bytes(content)
    with pytest.raises(DamagedCheckpoint) as caught:
        read_diagnosis(file)
    assert str(caught.value) == f"{file} does not hold a diagnosis: {fault}"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_curve_holds_finite_numbers_only(value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Curve(subject=UPDATE, quantity="retention", site=SITE, values=(1.0, value))


def test_the_subjects_of_a_diagnosis_differ() -> None:
    assert len({UPDATE, CONTROL, MISMATCHED}) == 3


def test_a_diagnosis_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FOUND.base = "other"  # type: ignore[misc]
