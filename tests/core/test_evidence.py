"""The evidence of a comparison is one document."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.errors import DamagedCheckpoint
from holdfast.core.evidence import Entrant, Evidence, read_evidence
from holdfast.core.scores import PointScores


def evidence() -> Evidence:
    return Evidence(
        recipe={"target": "cant"},
        environment={"holdfast": "0"},
        base="miniature",
        base_identity="00",
        base_params=10,
        vocabulary=4,
        learn=("cant",),
        keep=("recall",),
        base_validation=PointScores(split="validation", tasks=()),
        base_test=PointScores(split="test", tasks=()),
        entrants=(entrant(98),),
    )


def entrant(trainable: int) -> Entrant:
    return Entrant(
        label="lora",
        setting="lora(r=2)",
        standing="within",
        asked_params=100,
        trainable_params=trainable,
        moves_base=False,
        served_as="lora",
    )


def test_evidence_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(evidence().model_dump_json(), encoding="utf-8")
    assert read_evidence(file) == evidence()


@pytest.mark.parametrize(("trainable", "gap"), [(98, -0.02), (100, 0.0), (150, 0.5)])
def test_the_gap_to_the_budget_is_negative_below_it(trainable: int, gap: float) -> None:
    assert entrant(trainable).budget_gap_frac == pytest.approx(gap)


def test_missing_evidence_asks_whether_the_comparison_has_finished(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    with pytest.raises(DamagedCheckpoint) as caught:
        read_evidence(file)
    assert str(caught.value) == f"{file} is missing: has the comparison in {tmp_path} finished?"


@pytest.mark.parametrize("text", ["", "[]", '{"recipe": {}}'])
def test_another_file_is_not_taken_for_evidence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DamagedCheckpoint, match="does not hold the evidence of a comparison"):
        read_evidence(file)
