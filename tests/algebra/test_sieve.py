"""One pass over scores, against comparisons of all of them."""

from __future__ import annotations

import pytest
import torch

from holdfast.algebra import packing
from holdfast.algebra.scale import Scale
from holdfast.algebra.sieve import sieve
from holdfast.algebra.survey import Scores


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_it_parts_scores_at_both_thresholds(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "STRETCH", 64)
    held = {"a": torch.rand(13, 17).to(dtype), "b": torch.rand(200).to(dtype), "nothing": torch.zeros(0).to(dtype)}
    scales = {"a": Scale(0.0, 0.5), "b": Scale(0.1, 2.0), "nothing": Scale()}
    found = sieve(Scores(held), list(held), scales, 0.2, 0.4, limit=10**6)
    for name, scores in held.items():
        calibrated = scales[name].of(scores.float())
        between = (calibrated >= 0.2) & (calibrated <= 0.4)
        assert torch.equal(found.above[name].dense(), calibrated > 0.4)
        assert torch.equal(found.inside[name].dense(), between)
        assert found.kept.get(name, torch.zeros(0)).tolist() == calibrated[between].tolist()
    assert not found.thinned
    assert found.counts() == tuple(sum(b.count() for b in bits.values()) for bits in (found.above, found.inside))


def test_nothing_is_kept_between_equal_thresholds() -> None:
    found = sieve(Scores({"a": torch.ones(100)}), ["a"], {"a": Scale()}, 1.0, 1.0, limit=10)
    assert found.counts() == (0, 100)
    assert found.kept == {} and not found.thinned


@pytest.mark.parametrize("sizes", [[10_000], [1] * 1000, [300] * 40])
def test_what_is_too_much_is_thinned_evenly(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "STRETCH", 1024)
    held = {str(number): torch.rand(size) for number, size in enumerate(sizes)}
    found = sieve(Scores(held), list(held), dict.fromkeys(held, Scale()), 0.0, 1.0, limit=100)
    kept = torch.cat(list(found.kept.values()))
    assert found.thinned
    assert 40 <= len(kept) <= 100
    assert 0.3 < float(kept.mean()) < 0.7
