"""The documents of a basin: what contradicts itself is refused, and everything goes to disk and back."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.core.basin import BasinCurve, BasinMeasurement, BasinWidth, InputCurve, InputLevel, Level
from holdfast.core.certificate import Certificate
from holdfast.core.record import Record

LEVEL = {"sigma": 0.1, "seeds": (1,), "scores": (0.5,), "mean": 0.5, "strict_share": 0.0}
WIDTH = Record(subject="random", quantity="soft basin width", reason="wider than the grid")
CURVE: dict[str, Any] = {
    "ability": "logic", "direction": "random", "base": 0.9, "items": 4, "levels": (LEVEL,),
    "soft_width": WIDTH, "strict_width": WIDTH,
}  # fmt: skip
CERTIFICATE: dict[str, Any] = {
    "ability": "logic", "about": "score", "space": "all weights", "sigma": 0.1, "level": 0.99, "method": "betting",
    "directions": 9, "p_lower": 0.9, "keep": 0.5, "radius": 0.128,
}  # fmt: skip
MEASUREMENT: dict[str, Any] = {
    "base": "miniature", "base_identity": "abc", "space": "all weights", "coordinates": 10, "hash_before": "f",
    "hash_after": "f",
}  # fmt: skip


def test_distances_of_a_curve_ascend() -> None:
    with pytest.raises(ValueError, match=r"distances of a curve ascend, found \[0\.1, 0\.1\]"):
        BasinCurve(**{**CURVE, "levels": (LEVEL, LEVEL)})


@pytest.mark.parametrize("change", [{"sigma": 0.0}, {"seeds": ()}, {"scores": (1.1,)}, {"mean": -0.1}])
def test_levels_hold_directions_and_scores(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"greater than|at least 1 item|less than or equal"):
        Level(**{**LEVEL, **change})


def test_an_end_of_a_width_is_there_or_its_reason_is() -> None:
    width: dict[str, Any] = {"ability": "", "question": "", "test": "", "level": 0.95, "steps": (), "scored_items": 0}
    with pytest.raises(ValueError, match="missing without a reason"):
        BasinWidth(**width, low=0.1)
    assert BasinWidth(**width, low=0.1, reason="none was found outside").sigma is None
    assert BasinWidth(**width, low=0.1, high=0.4).sigma == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"the distance inside lies below the one outside, found 0\.4 and 0\.1"):
        BasinWidth(**width, low=0.4, high=0.1)


def test_amounts_of_noise_on_an_input_ascend_and_no_more_than_all_tokens_are_replaced() -> None:
    half, all_, more = (InputLevel(amount=amount, scores=(0.5,), mean=0.5) for amount in (0.5, 1.0, 2.0))
    curve: dict[str, Any] = {"ability": "logic", "base": 0.9, "items": 4}
    with pytest.raises(ValueError, match=r"amounts of noise on an input ascend, found \[1\.0, 0\.5\]"):
        InputCurve(**curve, kind="tokens", levels=(all_, half))
    with pytest.raises(ValueError, match=r"no more than all tokens can be replaced, found a share of 2\.0"):
        InputCurve(**curve, kind="tokens", levels=(half, more))
    assert InputCurve(**curve, kind="tokens", levels=(half, all_)).levels[-1].amount == 1.0
    assert InputCurve(**curve, kind="embeddings", levels=(half, more)).levels[-1].amount == 2.0


def test_weights_that_were_not_given_back_invalidate_what_was_measured() -> None:
    with pytest.raises(ValueError, match="the weights are not what they were before they were moved"):
        BasinMeasurement(**{**MEASUREMENT, "hash_after": "g"})


def test_a_measurement_goes_to_disk_and_back() -> None:
    measurement = BasinMeasurement(
        **MEASUREMENT, curves=(BasinCurve(**CURVE),), certificates=(Certificate(**CERTIFICATE),)
    )
    assert BasinMeasurement.model_validate_json(measurement.model_dump_json()) == measurement
