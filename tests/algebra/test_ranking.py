"""Scores of different kinds are brought to one scale, all tensors together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from holdfast.algebra.ranking import joined, min_max, parted, rank_shares, share_of
from holdfast.core.errors import NotMeasurable

VALUES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


def units(values: list[float]) -> dict[str, torch.Tensor]:
    """The values as a scalar, a row and a matrix, as far as they go."""
    rest = torch.tensor(values[1:], dtype=torch.float64)
    return {"a": torch.tensor(values[0], dtype=torch.float64), "b": rest[:3], "c": rest[3:].reshape(-1, 1)}


@given(VALUES)
def test_min_max_is_the_formula_over_all_tensors(values: list[float]) -> None:
    low, high = min(values), max(values)
    wanted = [0.0 if high == low else (value - low) / (high - low) for value in values]
    assert joined(min_max(units(values))).tolist() == pytest.approx(wanted)


def test_where_all_are_alike_min_max_is_0_and_no_nan() -> None:
    assert joined(min_max({"a": torch.tensor([2.0, 2.0]), "b": torch.tensor(2.0)})).tolist() == [0.0] * 3


@given(VALUES)
def test_rank_shares_are_scipys_mean_ranks(values: list[float]) -> None:
    assert joined(rank_shares(units(values))).tolist() == pytest.approx((rankdata(values) / len(values)).tolist())


def test_shapes_are_kept() -> None:
    scores = {"a": torch.tensor(1.0), "b": torch.ones(2), "c": torch.ones(2, 3)}
    for scaled in (min_max(scores), rank_shares(scores), parted(joined(scores), scores)):
        assert [tuple(scaled[name].shape) for name in scores] == [(), (2,), (2, 3)]


def test_no_scores_and_no_numbers_are_told() -> None:
    with pytest.raises(NotMeasurable, match=r"there are no scores to be ranked: no tensor is eligible"):
        min_max({})
    with pytest.raises(NotMeasurable, match=r"the scores of 'b' are no numbers, and cannot be ranked"):
        rank_shares({"a": torch.zeros(2), "b": torch.tensor(float("nan"))})


@pytest.mark.parametrize(("share", "count", "wanted"), [(0.1, 29, 2), (0.29, 100, 29), (0.07, 100, 7), (1, 14, 14)])
def test_shares_are_exact_and_rounded_down(share: float, count: int, wanted: int) -> None:
    assert share_of(share, count) == wanted
