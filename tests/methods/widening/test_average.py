"""Running averages of weights, and that the optimizer gets its own weights back bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from holdfast.core.errors import DamagedCheckpoint
from holdfast.methods.ema import Ema
from holdfast.methods.swa import Swa
from holdfast.methods.widening.average import Average
from holdfast.methods.widening.averaged import Averaged

STEPS = 8


class Walk:
    """Weights that are moved by known steps under an average, and what they were after each of them."""

    def __init__(self, method: Averaged, dtype: torch.dtype = torch.float32) -> None:
        self.layer = nn.Linear(3, 2).to(dtype)
        self.average = method.average(self.layer)
        self.live: list[Tensor] = []
        self.shown: list[Tensor] = []

    def go(self, begin: int = 0, end: int = STEPS) -> Walk:
        for step in range(begin, end):
            self.average.begin_step()
            if self.live:
                assert torch.equal(self.layer.weight, self.live[-1])
            with torch.no_grad():
                self.layer.weight.add_(torch.sin(torch.arange(6.0) + step).view(2, 3).to(self.layer.weight))
            self.live.append(self.layer.weight.detach().clone())
            self.average.end_step(step, STEPS)
            self.shown.append(self.layer.weight.detach().clone())
        return self


def test_an_exponential_average_is_the_formula_written_out() -> None:
    walk, expected = Walk(Ema(decay=0.8)).go(), None
    for live, shown in zip(walk.live, walk.shown, strict=True):
        expected = live.double() if expected is None else 0.8 * expected + 0.2 * live.double()
        torch.testing.assert_close(shown.double(), expected, rtol=1e-6, atol=1e-6)


def test_no_decay_is_the_weights_themselves_bit_for_bit() -> None:
    walk = Walk(Ema(decay=0.0)).go()
    assert all(torch.equal(live, shown) for live, shown in zip(walk.live, walk.shown, strict=True))


def test_a_plain_average_is_the_mean_from_its_beginning_on() -> None:
    walk = Walk(Swa(start_frac=0.5)).go()
    for step, shown in enumerate(walk.shown):
        expected = walk.live[step] if step < 4 else torch.stack(walk.live[4 : step + 1]).mean(0)
        torch.testing.assert_close(shown, expected, rtol=1e-6, atol=1e-6)
    assert walk.average.taken == 4


@pytest.mark.parametrize(
    ("frac", "steps", "taken"), [(0.75, 8, 2), (0.1, 30, 27), (0.99, 10, 1), (0.0, 3, 3), (0.75, 1, 1)]
)
def test_a_plain_average_begins_where_it_is_told_and_always_has_the_last_step(
    frac: float, steps: int, taken: int
) -> None:
    method = Swa(start_frac=frac)
    assert sum(method.share(0, step, steps) is not None for step in range(steps)) == taken
    assert method.share(0, steps - 1, steps) == 1.0


def test_the_average_is_kept_in_more_precision_than_the_weights_have() -> None:
    """In bfloat16 an average that moves by a thousandth of its distance would not move at all."""
    layer = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    average = Ema(decay=0.999).average(layer)
    for step, value in enumerate([0.0, *[1.0] * 700]):
        average.begin_step()
        nn.init.constant_(layer.weight, value)
        average.end_step(step, 701)
    assert float(layer.weight.detach()) == pytest.approx(1 - 0.999**700, rel=0.01)
    average.begin_step()
    assert float(layer.weight.detach()) == 1.0


@pytest.mark.parametrize("method", [Ema(decay=0.8), Swa(start_frac=0.5)], ids=lambda method: method.name)
@pytest.mark.parametrize("cut", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_goes_on_from_its_state(method: Averaged, cut: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    whole = Walk(method, dtype).go()
    torch.manual_seed(0)
    first = Walk(method, dtype).go(0, cut)
    state = {name: tensor.clone() for name, tensor in first.average.state().items()}
    again = Walk(method, dtype)
    with torch.no_grad():
        again.layer.weight.copy_(first.shown[-1])  # as a checkpoint holds them
    again.live.append(first.live[-1])
    again.average.load_state(state)
    assert torch.equal(again.layer.weight, first.shown[-1])
    again.go(cut)
    assert torch.equal(again.layer.weight, whole.layer.weight)


def test_a_state_of_other_tensors_is_refused() -> None:
    state = Walk(Ema()).go(0, 1).average.state()
    other = Average(nn.Linear(4, 2), Ema().share)
    with pytest.raises(DamagedCheckpoint, match=r"has no 'weight' of shape \(2, 4\): was it saved in a training of"):
        other.load_state(state)


def test_what_is_frozen_is_no_part_of_it() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    average = Ema().average(layer)
    average.end_step(0, 2)
    assert set(average.state()) == {"live/weight", "average/weight", "taken"}
