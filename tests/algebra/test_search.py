"""The score of a rank, wherever the sample led to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from holdfast.algebra import search as searching
from holdfast.algebra.ranks import ALONE
from holdfast.algebra.scale import Scale
from holdfast.algebra.search import search
from holdfast.algebra.sieve import sieve
from holdfast.algebra.survey import EVERY, Scores, survey


def found(held: dict[str, Tensor], rank: int) -> float:
    """The threshold, after what is above and equal was compared with it."""
    scores, names = Scores(held), list(held)
    told, scales = survey(scores, names, ALONE), dict.fromkeys(names, Scale())
    answer = search(scores, names, told, scales, rank, ALONE)
    for name, values in held.items():
        assert torch.equal(answer.above[name].dense(), values.double() > answer.threshold)
        assert torch.equal(answer.equal[name].dense(), values.double() == answer.threshold)
        assert answer.ties[name] == answer.equal[name].count()
    return answer.threshold


def misleading(size: int) -> Tensor:
    """Scores of which the sample shows only the lowest."""
    values = torch.rand(size, generator=torch.Generator().manual_seed(0)) + 1
    values[::EVERY] = torch.rand(len(values[::EVERY]), generator=torch.Generator().manual_seed(1)) * 0.1
    return values


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Brackets that were tried."""
    tried: list[tuple[float, float]] = []

    def noted(*args: object) -> object:
        tried.append((args[3], args[4]))  # type: ignore[arg-type]
        return sieve(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(searching, "sieve", noted)
    return tried


@pytest.mark.parametrize("few", [1, 50, 1 << 16])
@pytest.mark.parametrize("rank", [1, 2, 200, 10_000, 19_800, 19_999, 20_000])
@pytest.mark.parametrize(
    "values",
    [
        torch.rand(20_000, generator=torch.Generator().manual_seed(1)),
        misleading(20_000),
        2 - misleading(20_000),
        (torch.rand(20_000, generator=torch.Generator().manual_seed(2)) * 5).floor(),
        (torch.rand(20_000, generator=torch.Generator().manual_seed(3)) < 0.5).float(),
        torch.zeros(20_000),
        torch.arange(20_000.0),
    ],
    ids=["even", "misleading", "misleading the other way", "five values", "two values", "one value", "in order"],
)
def test_it_is_exact_however_few_are_kept_and_whatever_the_sample_shows(
    values: Tensor, rank: int, few: int, monkeypatch: pytest.MonkeyPatch, passes: list[tuple[float, float]]
) -> None:
    monkeypatch.setattr(searching, "_FEW", few)
    monkeypatch.setattr(searching, "_SHARE", 10**9)
    held = {"a": values[:7000].view(70, 100), "b": values[7000:7001], "c": values[7001:], "d": values[:0]}
    assert found(held, rank) == float(values.sort(descending=True).values[rank - 1])
    # With a sample of one, every pass halves what is left in expectation only, as a search with random pivots does.
    assert len(passes) < (100 if few == 1 else 30)


def test_a_good_sample_needs_one_pass_that_keeps_little(passes: list[tuple[float, float]]) -> None:
    values = torch.rand(1_000_000, generator=torch.Generator().manual_seed(0))
    found({"a": values}, 10_000)
    (bracket,) = passes
    assert 0.985 < bracket[0] < 0.99 < bracket[1] < 0.995


def test_a_bad_sample_costs_another_pass(passes: list[tuple[float, float]]) -> None:
    found({"a": misleading(100_000)}, 1000)
    assert 1 < len(passes) < 4
