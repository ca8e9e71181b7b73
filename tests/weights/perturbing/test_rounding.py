"""How much of a change a model's own precision leaves."""

from __future__ import annotations

import pytest
import torch

from holdfast.algebra.normals import normal
from holdfast.core.errors import NotMeasurable
from holdfast.weights.perturbing.rounding import Rounding, RoundingTally


def tallied(start: torch.Tensor, change: torch.Tensor, dtype: torch.dtype, pieces: int = 1) -> Rounding:
    tally = RoundingTally()
    for one, other in zip(start.chunk(pieces), change.chunk(pieces), strict=True):
        tally.add(one, one + other, other, dtype)
    return tally.found()


def test_by_hand() -> None:
    # Near 1 numbers of bfloat16 are 2^-7 apart; of four changes two vanish, and the others are made a whole step.
    step = 2.0**-7
    found = tallied(torch.ones(4), step * torch.tensor([0.25, 0.75, 1.0, 0.375]), torch.bfloat16)
    assert found.vanished_frac == 0.5
    length = (0.25**2 + 0.75**2 + 1 + 0.375**2) ** 0.5
    assert found.error_frac == pytest.approx((0.25**2 + 0.25**2 + 0.375**2) ** 0.5 / length)
    assert found.effective_frac == pytest.approx(2**0.5 / length)


def test_numbers_that_were_not_to_move_are_none_that_vanished() -> None:
    assert tallied(torch.ones(4), torch.tensor([0.0, 0.0, 1.0, 1e-9]), torch.float32).vanished_frac == 0.5


def test_nothing_is_lost_where_nothing_is_rounded() -> None:
    found = tallied(torch.zeros(1000), normal(1, "a", 0, 1000), torch.float32, pieces=3)
    assert found == Rounding(0.0, 0.0, 1.0)


@pytest.mark.parametrize(("sigma", "vanished"), [(1e-3, 0.97), (3e-3, 0.65), (1e-2, 0.23)])
def test_weights_near_one_swallow_small_noise_in_bfloat16(sigma: float, vanished: float) -> None:
    start = (1 + 0.1 * normal(2, "norm", 0, 1 << 17)).bfloat16().float()
    found = tallied(start, sigma * normal(1, "a", 0, 1 << 17), torch.bfloat16, pieces=5)
    assert found.vanished_frac == pytest.approx(vanished, abs=0.06)


def test_a_change_of_nothing_has_no_share() -> None:
    with pytest.raises(NotMeasurable, match="what rounding leaves of a change of 0; ask at a distance from the base"):
        tallied(torch.ones(3), torch.zeros(3), torch.float32)
