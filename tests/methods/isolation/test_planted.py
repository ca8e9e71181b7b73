"""Where it is known which scalars matter when, the choice follows them, and stays where they stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.methods.bottom_mask import BottomMask
from holdfast.methods.epi import Epi, Source
from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.static import Static

STEPS, SIZE, HOT = 120, 400, 20
OPTIONS = {"ratio": HOT / SIZE, "beta": 0.8, "first_refresh": 10, "interval": 10, "eligible": "all", "group": "model"}


def planted(method: Epi, *, drifts: bool) -> tuple[Isolation, list[torch.Tensor]]:
    """Noisy gradients that are ten times larger in 20 scalars of 400; where these lie moves on half-way, or not."""
    model = nn.Linear(SIZE, 1, bias=False)
    # At 0.999 Adam's own average would look back over a thousand steps: too long for this problem.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.8))
    isolation = method.isolate(model, optimizer, steps=STEPS)
    draw = torch.Generator().manual_seed(0)
    held = []
    for step in range(STEPS):
        gradient = torch.randn(1, SIZE, generator=draw)
        start = HOT if drifts and step >= STEPS // 2 else 0
        gradient[:, start : start + HOT] *= 10
        model.weight.grad = gradient
        optimizer.step()
        held.append(isolation.mask()["weight"].dense()[0])
    return isolation, held


def found(held: torch.Tensor, start: int) -> float:
    """Share of the sensitive scalars that is held."""
    return float(held[start : start + HOT].float().mean())


@pytest.mark.parametrize("importance", ["own_ema", "adam_v"])
def test_importance_that_moves_is_followed(importance: Source) -> None:
    isolation, held = planted(Epi(**OPTIONS, importance=importance), drifts=True)
    assert found(held[STEPS // 2 - 1], 0) > 0.9 and found(held[STEPS // 2 - 1], HOT) < 0.1
    assert found(held[-1], HOT) > 0.9 and found(held[-1], 0) < 0.1
    jaccard = isolation.history.course("epi", SIZE, 0).jaccard
    assert jaccard[0][-1] < 0.1


def test_importance_that_stays_is_kept() -> None:
    isolation, held = planted(Epi(**OPTIONS), drifts=False)
    assert all(found(mask, 0) > 0.9 for mask in held[10:])
    jaccard = isolation.history.course("epi", SIZE, 0).jaccard
    assert jaccard[0][-1] > 0.8


def test_a_static_choice_misses_what_moves() -> None:
    _, held = planted(Static(**{**OPTIONS, "interval": float("inf")}), drifts=True)
    assert found(held[-1], 0) > 0.9 and found(held[-1], HOT) < 0.1


def test_the_control_from_below_never_holds_what_matters() -> None:
    _, held = planted(BottomMask(**OPTIONS), drifts=True)
    assert all(found(mask, 0) < 0.1 for mask in held[10 : STEPS // 2])


def test_what_is_held_does_not_move_and_the_rest_does() -> None:
    model = nn.Linear(SIZE, 1, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    isolation = Epi(**OPTIONS).isolate(model, optimizer, steps=STEPS)
    for step in range(12):
        model.weight.grad = torch.randn(1, SIZE, generator=torch.Generator().manual_seed(step))
        before = model.weight.detach().clone()
        held = isolation.mask()["weight"].dense()
        optimizer.step()
        assert torch.equal(model.weight[held], before[held])
        assert bool((model.weight != before)[~held].all())
