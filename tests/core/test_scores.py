"""Scores are kept item by item, and their means are weighted."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.core.scores import PointScores, TaskScores


def scores(**options: Any) -> TaskScores:
    given = {
        "task": "chronicle",
        "ask": "read",
        "unit": "nats/token",
        "ids": ("a", "b"),
        "values": (-1.0, -4.0),
        "weights": (30.0, 10.0),
    }
    return TaskScores(**{**given, **options})


def test_a_long_text_weighs_more_than_a_short_one() -> None:
    assert scores().mean == (-1.0 * 30 - 4.0 * 10) / 40


def test_divergence_is_a_sum_an_item_and_a_mean_a_token() -> None:
    assert scores().mean_kl_nats_per_token is None
    assert scores(kl_nats=(2.0, 6.0)).mean_kl_nats_per_token == 8 / 40


@pytest.mark.parametrize("field", ["ids", "values", "weights", "kl_nats"])
def test_columns_of_different_length_are_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="ids, values and weights of task 'chronicle' differ in length"):
        scores(**{field: ("a",) if field == "ids" else (1.0,)})


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        scores(values=(-1.0, float("nan")))


def test_tasks_are_found_by_name() -> None:
    point = PointScores(split="test", tasks=(scores(), scores(task="other")))
    assert point.of("other") == scores(task="other")
    assert point.of("nothing") is None
