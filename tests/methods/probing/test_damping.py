"""A damped step is a part of the step, entry by entry."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.methods.probing.damping import Damping


def test_it_is_the_step_of_a_lower_rate_entry_by_entry() -> None:
    start = torch.randn(3, 2)
    slow, rates = nn.Parameter(start.clone()), torch.tensor([[1.0], [0.5], [0.0]]).expand(3, 2)
    damping = Damping({"w": slow}, {"w": rates})
    twins = [nn.Parameter(start.clone()) for _ in range(3)]
    optimizer = torch.optim.AdamW([slow], lr=0.1, weight_decay=0.2)
    plain = [
        torch.optim.AdamW([t], lr=0.1 * rate, weight_decay=0.2) for t, rate in zip(twins, (1, 0.5, 0), strict=True)
    ]
    for turn in range(4):
        gradient = torch.randn(3, 2, generator=torch.Generator().manual_seed(turn))
        slow.grad = gradient.clone()
        damping.before_step()
        optimizer.step()
        damping.after_step()
        for row, (twin, each) in enumerate(zip(twins, plain, strict=True)):
            twin.grad = gradient.clone()
            each.step()
            assert torch.allclose(slow[row], twin[row], atol=1e-6)
    assert torch.equal(slow[0], twins[0][0]) and torch.equal(slow[2], start[2])
