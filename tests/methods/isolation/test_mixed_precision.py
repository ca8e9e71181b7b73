"""With a scaler importance is that of unscaled gradients, and a step that overflows leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.state import AcceleratorState
from rivals import Loop, same
from torch import Tensor

from holdfast.methods.epi import Epi

METHOD = Epi(ratio=0.05, first_refresh=2, interval=2)
OVERFLOWS = 3


class Scaled(Loop):
    """The loop with a scaler; at one step a gradient overflows."""

    unscales = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)

    def run(self, start: int, end: int) -> Loop:
        for step in range(start, end):
            tokens = torch.randint(3, 128, (2, 12), generator=torch.Generator().manual_seed(1000 * step))
            self.scaler.scale(self.model(input_ids=tokens, labels=tokens).loss).backward()
            if step == OVERFLOWS:
                self.model.model.layers[1].mlp.up_proj.weight.grad[0, 0] = torch.inf
            if self.unscales:
                self.scaler.unscale_(self.optimizer)
                self.isolation.observe()
                torch.nn.utils.clip_grad_norm_(self.tensors.values(), 0.05)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
        return self


class Clipping(Scaled):
    """It unscales and clips by hand."""

    unscales = True


def averages(trained: Loop) -> dict[str, Tensor]:
    return {key: t for key, t in trained.isolation.state_dict().items() if ".average." in key}


def without_the_overflow() -> Loop:
    trained = Loop(BUILDS["fused"]).isolate(METHOD)
    for step in range(6):
        if step != OVERFLOWS:
            trained.run(step, step + 1)
    return trained


BUILDS = {
    "fused": lambda tensors: torch.optim.AdamW(tensors, lr=1e-2, weight_decay=0.1, fused=True),
    "foreach": lambda tensors: torch.optim.AdamW(tensors, lr=1e-2, weight_decay=0.1, foreach=True),
}


@pytest.mark.parametrize("kind", [Scaled, Clipping])
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_a_scaler_changes_neither_importance_nor_what_is_held(kind: type[Scaled], build: object) -> None:
    trained = kind(build).isolate(METHOD)
    trained.run(0, 2)
    found = averages(trained)
    assert len(found) == 14
    if kind is Scaled:
        # Scales are powers of two: nothing is rounded otherwise than without them.
        assert same(found, averages(Loop(build).isolate(METHOD).run(0, 2)))
    else:
        first = averages(kind(build).isolate(METHOD).run(0, 1))
        assert same(first, averages(Loop(build).isolate(METHOD).run(0, 1)))
    held, before = trained.isolation.mask(), trained.weights()
    trained.run(2, 3)
    after = trained.weights()
    assert not any(bool((before[name] != after[name])[bits.dense()].any()) for name, bits in held.items())


@pytest.mark.parametrize("kind", [Scaled, Clipping])
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_a_step_that_overflows_leaves_no_trace(kind: type[Scaled], build: object) -> None:
    trained = kind(build).isolate(METHOD).run(0, OVERFLOWS)
    average, weights, mask = averages(trained), trained.weights(), trained.isolation.mask()
    average = {key: tensor.clone() for key, tensor in average.items()}
    trained.run(OVERFLOWS, OVERFLOWS + 1)
    assert same(average, averages(trained))
    assert same(weights, trained.weights())
    assert trained.isolation.mask() == mask
    assert trained.isolation.step == OVERFLOWS
    trained.run(OVERFLOWS + 1, OVERFLOWS + 2)
    assert trained.isolation.step == OVERFLOWS + 1


def test_the_end_is_that_of_a_training_without_the_step_that_overflowed() -> None:
    ours, twin = Scaled(BUILDS["fused"]).isolate(METHOD).run(0, 6), without_the_overflow()
    assert same(averages(ours), averages(twin))
    assert same(ours.weights(), twin.weights())
    assert ours.isolation.mask() == twin.isolation.mask()


@pytest.fixture
def accelerated() -> Iterator[None]:
    """Accelerate on a processor, its global state taken down again."""
    Accelerator(cpu=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("accelerated")
def test_accelerates_scaler_is_seen_through() -> None:
    """As a trainer in float16 does it, which needs a GPU: gradients are seen scaled, in the backward pass."""
    trained = Scaled(BUILDS["foreach"])
    trained.optimizer = AcceleratedOptimizer(trained.optimizer, scaler=trained.scaler)
    trained.isolate(METHOD)
    for step in range(2):
        tokens = torch.randint(3, 128, (2, 12), generator=torch.Generator().manual_seed(1000 * step))
        trained.scaler.scale(trained.model(input_ids=tokens, labels=tokens).loss).backward()
        trained.optimizer.step()
        trained.optimizer.zero_grad()
    plain = Loop(BUILDS["foreach"]).isolate(METHOD).run(0, 2)
    assert same(averages(trained), averages(plain))
    assert trained.isolation.mask() == plain.isolation.mask()
    assert trained.isolation.notes() == ()
