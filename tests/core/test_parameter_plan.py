"""A plan says what is trained and what the choice rests on, and is read as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.errors import DamagedCheckpoint
from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor, read_plan


def plan(*tensors: PlannedTensor) -> ParameterPlan:
    return ParameterPlan(task="t", method="m", seed=0, model_params=100, model_tensors=9, tensors=tensors)


def test_trained_scalars_are_those_of_chosen_tensors_or_of_their_parts() -> None:
    one = PlannedTensor(name="a.weight", params=30, chosen=True)
    part = PlannedTensor(name="b.weight", params=20, chosen=True, chosen_params=5)
    left = PlannedTensor(name="c.weight", params=10, chosen=False)
    assert [each.trained_params for each in (one, part, left)] == [30, 5, 0]
    assert plan(one, part, left).trained_params == 35


def test_the_gap_is_between_the_last_that_was_taken_and_the_first_that_was_not() -> None:
    scores = {"a": (0.9, True), "b": (0.5, True), "c": (0.2, False)}
    tensors = [PlannedTensor(name=n, params=1, chosen=c, score=s) for n, (s, c) in scores.items()]
    assert plan(*tensors).score_gap == pytest.approx(0.3)
    assert plan(*tensors[:2]).score_gap is None
    assert plan(PlannedTensor(name="a", params=1, chosen=True)).score_gap is None


def test_modules_are_named_as_peft_wants_them() -> None:
    tensors = [PlannedTensor(name=n, params=1, chosen=True) for n in ("layers.0.q.weight", "layers.0.q.bias")]
    assert plan(*tensors).target_modules() == ("layers.0.q",)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = plan(PlannedTensor(name="a", params=1, chosen=True, score=0.5, signals={"l2_rms": 1e-9}, rank=1))
    (tmp_path / "plan.json").write_text(written.model_dump_json(exclude_none=True))
    assert read_plan(tmp_path / "plan.json") == written
    with pytest.raises(DamagedCheckpoint, match="is missing: write one with"):
        read_plan(tmp_path / "other.json")
