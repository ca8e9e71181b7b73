"""Origin and unit of a group, and the thresholds in raw scores that belong to calibrated ones."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.scale import Scale

scores = st.floats(0, width=32, allow_nan=False, allow_infinity=False)


@given(scores, scores, scores)
def test_a_threshold_parts_scores_as_their_calibrated_values_are_parted(low: float, high: float, at: float) -> None:
    low, at, high = sorted((low, high, at))
    scale = Scale(low, high - low)
    calibrated = float(scale.of(torch.tensor([at]))[0])
    reaching, beyond = scale.reaching(calibrated), scale.beyond(calibrated)
    around = torch.tensor([low, at, high, min(reaching, high), min(beyond, high)])
    around = torch.cat([around, around.nextafter(torch.tensor(0.0)).clamp(min=low)])
    for score, value in zip(around.tolist(), scale.of(around).tolist(), strict=True):
        assert (score >= reaching) == (value >= calibrated)
        assert (score >= beyond) == (value > calibrated)


def test_different_scores_never_get_the_same_value() -> None:
    near = torch.tensor(1e30).view(torch.int32) + torch.arange(-500, 500, dtype=torch.int32)
    found = Scale(1e-30, 3e38).of(near.view(torch.float32))
    assert bool((found[1:] > found[:-1]).all())
    tiny = Scale(0.0, 3e38).of(torch.arange(1, 100, dtype=torch.int32).view(torch.float32))
    assert bool((tiny[1:] > tiny[:-1]).all())


def test_without_a_unit_every_score_is_0() -> None:
    scale = Scale(2.0, 0.0)
    assert scale.of(torch.tensor([2.0, 2.0])).tolist() == [0.0, 0.0]
    assert scale.reaching(0.0) == 0.0 and scale.beyond(0.0) == math.inf and scale.reaching(0.1) == math.inf


def test_a_zero_with_a_sign_is_0() -> None:
    assert math.copysign(1, float(Scale().of(torch.tensor([-0.0]))[0])) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_values_are_exact_whatever_the_precision_of_the_scores(dtype: torch.dtype) -> None:
    assert Scale(0.5, 3.0).of(torch.tensor([2.0], dtype=dtype)).tolist() == [0.5]
