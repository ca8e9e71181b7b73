"""Three forms of holding, one behaviour."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.methods.isolation import guard
from holdfast.methods.isolation.guard import Guard


@given(share=st.sampled_from([0.0, 0.005, 0.1, 0.5, 0.9, 1.0]), seed=st.integers(0, 99), half=st.booleans())
def test_what_is_held_comes_back_and_nothing_else_does(share: float, seed: int, half: bool) -> None:
    draw = torch.Generator().manual_seed(seed)
    part = torch.randn(17, 31, generator=draw).to(torch.bfloat16 if half else torch.float32)
    chosen = torch.rand(17, 31, generator=draw) < share
    before = part.clone()
    holding = Guard({"a": part})
    holding.hold(Mask({"a": Bits.of(chosen)}))
    after = torch.randn(17, 31, generator=draw).to(part.dtype)
    part.copy_(after)
    holding.put_back()
    assert torch.equal(part, torch.where(chosen, before, after))
    assert torch.equal(holding.mask()["a"].dense(), chosen)


def test_the_form_for_a_gpu_holds_as_that_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_Blocks", guard._Some)
    part = torch.zeros(300, 400)
    chosen = torch.rand(300, 400, generator=torch.Generator().manual_seed(0)) < 0.2
    holding = Guard({"a": part})
    holding.hold(Mask({"a": Bits.of(chosen)}))
    part += 1
    holding.put_back()
    assert torch.equal(part == 0, chosen)
    assert holding.extra_bytes() == 300 * 400 // 8 + 4 * int(chosen.sum())


@pytest.mark.parametrize("share", [0.005, 0.1, 0.9])
def test_gradients_of_what_is_held_are_set_to_zero(share: float) -> None:
    part, gradient = torch.randn(40, 50), torch.ones(40, 50)
    chosen = torch.rand(40, 50, generator=torch.Generator().manual_seed(0)) < share
    holding = Guard({"a": part, "b": torch.randn(3)})
    holding.hold(Mask({"a": Bits.of(chosen), "b": Bits.all((3,))}))
    holding.quench({"a": gradient})
    assert torch.equal(gradient, (~chosen).float())


def test_what_it_takes_beside_the_values() -> None:
    part = torch.zeros(1000, 1000)
    holding = Guard({"a": part})
    # A bit a scalar at most while few are held, sixteen bits a held one up to a half, a bit a scalar from there on.
    for share, most in ((0.001, 1), (0.01, 1), (1 / 64, 1), (0.05, 1), (0.2, 3.2), (0.5, 1), (0.9, 1)):
        chosen = torch.zeros(1_000_000, dtype=torch.bool)
        chosen[: int(share * 1_000_000)] = True
        holding.hold(Mask({"a": Bits.of(chosen.view(1000, 1000))}))
        values = 4 * int(share * 1_000_000) if share < 0.5 else 4 * 1_000_000
        assert holding.extra_bytes() - values <= most * 125_000


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 200_000])
def test_blocks_end_where_tensors_end(size: int) -> None:
    part = torch.zeros(size)
    chosen = torch.rand(size, generator=torch.Generator().manual_seed(0)) < 0.1
    chosen[-1] = True
    holding = Guard({"a": part})
    holding.hold(Mask({"a": Bits.of(chosen)}))
    part += 1
    holding.put_back()
    assert torch.equal(part == 0, chosen)
    assert torch.equal(holding.mask()["a"].dense(), chosen)


def test_a_new_choice_replaces_the_old_one() -> None:
    part = torch.arange(4.0)
    holding = Guard({"a": part})
    holding.hold(Mask({"a": Bits.of(torch.tensor([True, False, False, False]))}))
    part += 1
    holding.put_back()
    holding.hold(Mask({"a": Bits.of(torch.tensor([False, True, False, False]))}))
    part += 1
    holding.put_back()
    assert part.tolist() == [1.0, 2.0, 4.0, 5.0]
