"""The first look at scores."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from holdfast.algebra.ranks import ALONE
from holdfast.algebra.survey import EVERY, Scores, survey
from holdfast.core.errors import NotMeasurable


def test_it_tells_sizes_bounds_and_sums() -> None:
    held = {"a": torch.tensor([[3.0, 1.0], [2.0, 0.5]]), "nothing": torch.zeros(0, 3), "b": torch.tensor(7.0)}
    told = survey(Scores(held), list(held), ALONE, sums=True)
    assert told.shapes == {"a": (2, 2), "nothing": (0, 3), "b": ()}
    assert told.sizes == {"a": 4, "nothing": 0, "b": 1} and told.size(["a", "b"]) == 5
    assert told.least == {"a": 0.5, "nothing": float("inf"), "b": 7.0}
    assert told.most == {"a": 3.0, "nothing": -float("inf"), "b": 7.0}
    assert told.sums == {"a": Fraction(13, 2), "nothing": 0, "b": 7}


def test_the_sample_is_a_copy_of_every_127th_score() -> None:
    held = {"a": torch.rand(1000).bfloat16()}
    told = survey(Scores(held), ["a"], ALONE)
    assert told.samples["a"].tolist() == held["a"][::EVERY].tolist()
    assert told.samples["a"].untyped_storage().nbytes() == 4 * 8
    assert told.sums == {}


@pytest.mark.parametrize(
    ("score", "fault"), [(float("nan"), "not a number"), (float("inf"), "infinite"), (-1e-30, "below 0")]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_scores_without_a_place_in_an_order_are_refused(score: float, fault: str, dtype: torch.dtype) -> None:
    held = {"fine": torch.ones(5), "down_proj": torch.tensor([1.0, score, 2.0], dtype=dtype)}
    said = f"order of scores: 'down_proj' has a score that is {fault}, and only finite scores from 0 up can be compared"
    with pytest.raises(NotMeasurable, match=said):
        survey(Scores(held), list(held), ALONE)


def test_what_is_too_large_for_float32_is_infinite() -> None:
    with pytest.raises(NotMeasurable, match="'a' has a score that is infinite"):
        survey(Scores({"a": torch.tensor([1e300], dtype=torch.float64)}), ["a"], ALONE)


def test_only_the_last_tensor_is_kept() -> None:
    asked: list[str] = []

    class Lazy(dict[str, torch.Tensor]):
        def __getitem__(self, name: str) -> torch.Tensor:
            asked.append(name)
            return super().__getitem__(name)

    scores = Scores(Lazy(a=torch.ones(2), b=torch.ones(2)))
    for name in "aabba":
        _ = scores[name]
    assert asked == ["a", "b", "a"]
