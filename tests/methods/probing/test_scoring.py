"""How signals become scores, against the formulas."""

from __future__ import annotations

import pytest
import torch

from holdfast.core.errors import NotMeasurable
from holdfast.methods.probing.scoring import dissimilarity, importance, product

NAMES = ("l2", "fisher")


def units(*values: float) -> dict[str, torch.Tensor]:
    return {f"t{at}": torch.tensor(value, dtype=torch.float64) for at, value in enumerate(values)}


def listed(scores: dict[str, torch.Tensor]) -> list[float]:
    return [float(each) for each in scores.values()]


def order(scores: dict[str, torch.Tensor]) -> list[str]:
    return sorted(scores, key=lambda name: -float(scores[name]))


def test_min_max_and_equal_votes_written_out() -> None:
    found = importance(units(1, 3, 2), units(10, 0, 5), 0.5, "minmax", NAMES)
    assert listed(found.scores) == pytest.approx([0.5, 0.5, 0.5])
    assert listed(found.scaled["l2"]) == [0, 1, 0.5] and listed(found.scaled["fisher"]) == [1, 0, 0.5]
    assert listed(found.signals["fisher"]) == [10, 0, 5]


@pytest.mark.parametrize("combine", ["minmax", "rank"])
def test_alpha_1_ranks_by_length_alone_and_0_by_fisher_alone(combine: str) -> None:
    lengths, information = units(1, 3, 2), units(10, 0, 5)
    assert order(importance(lengths, information, 1.0, combine, NAMES).scores) == order(lengths)  # type: ignore[arg-type]
    assert order(importance(lengths, information, 0.0, combine, NAMES).scores) == order(information)  # type: ignore[arg-type]


def test_a_constant_signal_has_no_vote() -> None:
    found = importance(units(2, 2, 2), units(1, 3, 2), 0.5, "minmax", NAMES)
    assert listed(found.scores) == [0.0, 0.5, 0.25]


def test_one_outlier_sets_min_max_and_not_ranks() -> None:
    lengths, information = units(0.0, 1.0, 0.4), units(1000.0, 0.0, 10.0)
    by_min_max = importance(lengths, information, 0.5, "minmax", NAMES).scores
    by_rank = importance(lengths, information, 0.5, "rank", NAMES).scores
    assert float(by_min_max["t2"]) < 0.3 and listed(by_rank) == pytest.approx([4 / 6, 4 / 6, 4 / 6])


def test_the_least_like_earlier_tasks_goes_first() -> None:
    own = {"t0": torch.tensor([1.0, 0.0]), "t1": torch.tensor([1.0, 1.0]), "t2": torch.zeros(2)}
    past = {"a": {"t0": torch.tensor([1.0, 0.0]), "t1": torch.tensor([-1.0, -1.0]), "t2": torch.ones(2)}}
    found = dissimilarity(own, past)
    assert listed(found.scores) == pytest.approx([-1.0, 1.0]) and "t2" not in found.scores
    with pytest.raises(NotMeasurable, match="specificity is not defined; use l2_fisher"):
        dissimilarity({"t2": torch.zeros(2)}, past)


def test_the_product_is_of_rank_shares() -> None:
    important = importance(units(1, 3, 2), units(1, 3, 2), 0.5, "minmax", NAMES)
    own = {name: torch.tensor([1.0, 0.0]) for name in ("t0", "t1", "t2")}
    other = {"t0": torch.tensor([-1.0, 0.0]), "t1": torch.tensor([1.0, 0.0]), "t2": torch.tensor([0.0, 1.0])}
    found = product(important, dissimilarity(own, {"a": other}))
    assert listed(found.scores) == pytest.approx([1 / 3 * 1, 1 * 1 / 3, 2 / 3 * 2 / 3])
    assert set(found.signals) == {"l2", "fisher", "mean_cosine"}
