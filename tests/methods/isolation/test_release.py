"""What a released scalar does, by its moments and by how fast it is let go."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.isolation.moments import Moments
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene

SIZE, RELEASE, STEPS, RATE = 6, 6, 12, 1e-2


class Planned(Rule):
    """Holds the first three scalars from step 2 on and lets the first two of them go after step 6."""

    def __init__(self) -> None:
        super().__init__(Schedule(2, 4))

    def choose(self, scene: Scene) -> Mask:
        held = torch.tensor([True, True, True, False, False, False])
        if scene.step >= RELEASE:
            held[:2] = False
        return Mask({"weight": Bits.of(held[None])})


def trained(moments: Moments = "keep", ramp_steps: int = 0, *, isolated: bool = True) -> list[Tensor]:
    """The weights after every step. Every scalar gets the same gradients and starts at the same value."""
    model = nn.Linear(SIZE, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    if isolated:
        scene = Scene(model=model, tensors=dict(model.named_parameters()), optimizer=optimizer, steps=STEPS)
        Isolation(Planned(), scene, moments=moments, ramp_steps=ramp_steps)
    course = []
    for step in range(STEPS):
        draw = torch.randn(1, generator=torch.Generator().manual_seed(step))
        model.weight.grad = draw.expand(1, SIZE).clone()
        optimizer.step()
        course.append(model.weight.detach()[0].clone())
    return course


def steps_of(course: list[Tensor], scalar: int) -> Tensor:
    return torch.stack(course)[:, scalar].diff()


def test_with_moments_kept_a_released_scalar_steps_as_one_that_was_never_held() -> None:
    course = trained()
    torch.testing.assert_close(steps_of(course, 0)[RELEASE - 1 :], steps_of(course, 5)[RELEASE - 1 :])
    assert (steps_of(course, 0)[2 : RELEASE - 1] == 0).all()
    assert (steps_of(course, 2)[2:] == 0).all()


def test_frozen_moments_make_another_first_step() -> None:
    course = trained("freeze")
    assert abs(float(steps_of(course, 0)[RELEASE - 1] - steps_of(course, 5)[RELEASE - 1])) > 1e-4
    # The slow twin: Adam on a scalar that has not seen the gradients of the steps in which it was held.
    mean = square = torch.zeros(())
    value = torch.ones(())
    for step in range(STEPS):
        gradient = torch.randn(1, generator=torch.Generator().manual_seed(step))[0]
        if 2 <= step < RELEASE:
            continue
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        value = value - RATE * (mean / (1 - 0.9 ** (step + 1))) / ((square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        torch.testing.assert_close(course[step][0], value)


def test_moments_reset_on_release_start_from_zero() -> None:
    course = trained("reset_on_release")
    gradient = torch.randn(1, generator=torch.Generator().manual_seed(RELEASE))[0]
    mean, square = 0.1 * gradient, 0.001 * gradient**2
    step = RATE * (mean / (1 - 0.9 ** (RELEASE + 1))) / ((square / (1 - 0.999 ** (RELEASE + 1))).sqrt() + 1e-8)
    torch.testing.assert_close(course[RELEASE - 1][0] - course[RELEASE][0], step)


def test_a_ramp_lets_go_slowly() -> None:
    at_once, slowly = trained(), trained(ramp_steps=3)
    for number, share in enumerate((1 / 3, 2 / 3, 1.0, 1.0)):
        step = RELEASE - 1 + number
        torch.testing.assert_close(steps_of(slowly, 0)[step], share * steps_of(at_once, 0)[step], atol=1e-6, rtol=1e-4)
    assert torch.equal(torch.stack(slowly)[:, 3:], torch.stack(at_once)[:, 3:])


def test_plain_training_and_free_scalars_are_the_same() -> None:
    free: Mapping[int, Tensor] = dict(enumerate(trained(isolated=False)))
    for step, weights in enumerate(trained("freeze", ramp_steps=2)):
        assert torch.equal(weights[3:], free[step][3:])
