"""What is specific to a task is what moves as in no other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from holdfast.algebra.specificity import cosine, mean_cosine, specificity
from holdfast.core.errors import NotMeasurable


def by_hand(deltas: dict[str, np.ndarray], task: str) -> float:
    own, found = deltas[task].ravel(), []
    for other, delta in deltas.items():
        if other != task:
            found.append(own @ delta.ravel() / (np.linalg.norm(own) * np.linalg.norm(delta)))
    return float(np.mean(found))


def test_it_is_the_formula_in_float64() -> None:
    deltas = {task: {"w": torch.randn(5, 3), "v": torch.randn(4)} for task in "abcd"}
    found = specificity(deltas)
    for task in deltas:
        for name in ("w", "v"):
            plain = {other: each[name].double().numpy() for other, each in deltas.items()}
            assert found[task][name] == pytest.approx(by_hand(plain, task), abs=1e-12)


def test_identical_is_1_orthogonal_0_opposite_minus_1() -> None:
    one, across = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])
    for other, wanted in ((one, 1.0), (across, 0.0), (-2 * one, -1.0)):
        assert specificity({"a": {"w": one}, "b": {"w": other}})["a"]["w"] == wanted


def test_of_two_tasks_it_is_symmetric() -> None:
    found = specificity({"a": {"w": torch.randn(9)}, "b": {"w": torch.randn(9)}})
    assert found["a"] == found["b"]


def test_one_task_alone_has_nothing_to_be_specific_beside() -> None:
    with pytest.raises(NotMeasurable, match=r"shows beside others, and there are 1 tasks; give two or more"):
        specificity({"a": {"w": torch.ones(2)}})


def test_tasks_of_other_tensors_are_told() -> None:
    with pytest.raises(NotMeasurable, match=r"task 'b' has other tensors than the first one: 'v'"):
        specificity({"a": {"w": torch.ones(2)}, "b": {"v": torch.ones(2)}})


def test_a_change_of_zero_has_no_direction_and_counts_in_no_mean() -> None:
    still, one = torch.zeros(2), torch.tensor([1.0, 1.0])
    with pytest.raises(NotMeasurable, match=r"it has no direction"):
        cosine(still, one)
    assert mean_cosine(one, {"b": still, "c": one}) == pytest.approx(1)
    found = specificity({"a": {"w": still}, "b": {"w": one}, "c": {"w": one}})
    assert found["a"]["w"] is None and found["b"]["w"] == pytest.approx(1)
