"""An optimizer whose step calls that of its parent class takes one step, and not two."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rivals import Loop

from holdfast.methods.epi import Epi
from holdfast.methods.isolation.nesting import within_a_step


class Child(torch.optim.AdamW):
    """Moves everything, then takes the step of its parent, then moves everything again."""

    def step(self, closure: Any = None) -> Any:
        for turn in (0, 1):
            with torch.no_grad():
                for group in self.param_groups:
                    for tensor in group["params"]:
                        tensor.mul_(0.9)
            if not turn:
                super().step()


def child(tensors: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])  # from now on its class runs hooks too
    return Child(tensors, lr=1e-2)


def test_hooks_run_twice_in_a_step_and_the_inner_ones_are_told_apart() -> None:
    tensor = torch.nn.Parameter(torch.ones(2))
    optimizer = child([tensor])
    seen: list[tuple[str, bool]] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(("before", within_a_step(optimizer))))
    optimizer.register_step_post_hook(lambda *_: seen.append(("after", within_a_step(optimizer))))
    tensor.grad = torch.ones(2)
    optimizer.step()
    assert seen == [("before", False), ("before", True), ("after", True), ("after", False)]


def test_a_step_counts_once_and_what_is_held_is_put_back_in_the_end() -> None:
    trained = Loop(child).isolate(Epi(ratio=0.3, first_refresh=2, interval=2)).run(0, 2)
    mask, before = trained.isolation.mask(), trained.weights()
    assert trained.isolation.step == 2 and mask.count() > 0
    after = trained.run(2, 4).weights()
    assert trained.isolation.step == 4
    assert all(torch.equal(after[name][bits.dense()], before[name][bits.dense()]) for name, bits in mask.items())


class Broken(torch.optim.AdamW):
    """Breaks off once, in the middle of a step."""

    broke = False

    def step(self, closure: Any = None) -> Any:
        if not self.broke:
            self.broke = True
            raise RuntimeError("out of memory")
        return super().step()


def test_after_a_step_that_was_broken_off_things_go_on() -> None:
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    trained = Loop(lambda tensors: Broken(tensors, lr=1e-2)).isolate(Epi(ratio=0.3, first_refresh=1, interval=5))
    with pytest.raises(RuntimeError, match="out of memory"):
        trained.run(0, 1)
    trained.run(0, 1)
    assert trained.isolation.step == 1 and trained.isolation.mask().count() > 0
