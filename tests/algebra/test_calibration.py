"""What makes scores of groups comparable."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from holdfast.algebra.calibration import Calibration, check_calibration, scales
from holdfast.algebra.ranks import ALONE
from holdfast.algebra.scale import Scale
from holdfast.algebra.survey import Scores, survey
from holdfast.core.errors import NotMeasurable

GROUPS = {"q": "block 0", "k": "block 0", "q1": "block 1"}


def found(held: dict[str, Tensor], groups: dict[str, str], calibration: Calibration) -> dict[str, Scale]:
    scores = Scores(held)
    told = survey(scores, list(held), ALONE, sums=calibration == "mean")
    return scales(scores, told, groups, calibration, ALONE)


@given(st.lists(st.floats(0, width=32, allow_infinity=False), min_size=1, max_size=300), st.integers(0, 300))
def test_every_way_has_its_origin_and_unit(values: list[float], cut: int) -> None:
    whole = torch.tensor(values)
    held = {"q": whole[:cut], "k": whole[cut:], "q1": torch.zeros(3)}
    ordered = sorted(abs(value) for value in values)
    mean = float(sum(map(Fraction, values)) / len(values))
    for calibration, wanted in {
        "minmax": Scale(ordered[0], ordered[-1] - ordered[0]),
        "mean": Scale(0.0, mean),
        "none": Scale(0.0, 1.0),
    }.items():
        scale = found(held, GROUPS, calibration)  # type: ignore[arg-type]
        assert scale["q"] == scale["k"] == wanted
    quantile = ordered[-(-99 * len(ordered) // 100) - 1]
    if quantile or not ordered[-1]:
        assert found(held, GROUPS, "quantile")["q"] == Scale(0.0, quantile)


def test_the_quantile_is_the_least_score_that_99_percent_do_not_exceed() -> None:
    held = {"a": torch.arange(1.0, 101.0)}
    assert found(held, {"a": "a"}, "quantile")["a"].unit == 99
    assert found({"a": torch.arange(1.0, 102.0)}, {"a": "a"}, "quantile")["a"].unit == 100


@pytest.mark.parametrize("calibration", ["minmax", "mean", "quantile"])
@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e4])
def test_a_constant_factor_of_a_group_changes_calibrated_scores_by_rounding_only(
    calibration: Calibration, factor: float
) -> None:
    held = {"q": torch.rand(500) + 0.1, "k": torch.rand(300) + 0.1, "q1": torch.rand(400) + 0.1}
    scaled = {name: scores * (factor if GROUPS[name] == "block 0" else 1) for name, scores in held.items()}
    before, after = found(held, GROUPS, calibration), found(scaled, GROUPS, calibration)
    for name in held:
        torch.testing.assert_close(after[name].of(scaled[name]), before[name].of(held[name]), rtol=1e-5, atol=1e-6)


def test_a_constant_or_empty_group_scores_0() -> None:
    held = {"q": torch.full((5,), 3.0), "k": torch.full((2,), 3.0), "q1": torch.zeros(0)}
    for name, scale in found(held, GROUPS, "minmax").items():
        assert scale.of(held[name]).tolist() == [0.0] * len(held[name])
    zero = {"q": torch.zeros(5), "k": torch.zeros(3), "q1": torch.zeros(0)}
    for calibration in ("mean", "quantile"):
        assert found(zero, GROUPS, calibration)["q"].of(zero["q"]).tolist() == [0.0] * 5  # type: ignore[arg-type]


def test_a_quantile_of_0_is_no_unit() -> None:
    held = {"embed": torch.zeros(1000).index_fill(0, torch.tensor([3]), 1.0)}
    with pytest.raises(NotMeasurable, match="of those of 'block 0' at least 99 % are 0, and so is the quantile"):
        found(held, {"embed": "block 0"}, "quantile")


def test_an_unknown_way_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown calibration 'min-max': did you mean 'minmax'"):
        check_calibration("min-max")
