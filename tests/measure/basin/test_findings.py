"""A measurement in the making counts only if the weights are what they were."""

from __future__ import annotations

import pytest

from holdfast.measure.basin.findings import Findings
from holdfast.models.base import Base


def test_a_model_that_is_not_what_it_was_makes_all_void(tiny_base: Base) -> None:
    findings = Findings(tiny_base)
    assert findings.written(0.05, {}).hash_after == tiny_base.identity
    tiny_base.model.get_parameter("lm_head.weight").data[0, 0] += 1
    with pytest.raises(ValueError, match="the weights are not what they were before they were moved"):
        findings.written(0.05, {})


def test_what_must_be_known_is_said_once(tiny_base: Base) -> None:
    findings = Findings(tiny_base)
    findings.note(["b", "a", "b"])
    findings.note(["a", "c"])
    assert findings.notes == ["b", "a", "c"]
