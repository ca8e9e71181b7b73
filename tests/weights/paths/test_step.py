"""How far a point has gone, and which point has gone so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from holdfast.algebra.delta import Dense
from holdfast.algebra.rotation import skew
from holdfast.core.errors import NotMeasurable
from holdfast.weights.path import DenseLine
from holdfast.weights.paths.catalogue import path_of
from holdfast.weights.paths.step import at_step, relative_step, steps_along
from holdfast.weights.update import Update

Make = Callable[..., Any]


class Curve:
    """A path of one weight, by what it has at t."""

    label = "curve"

    def __init__(self, weight: Callable[[float], list[float]]) -> None:
        self._weight, self.asked = weight, 0

    def at(self, t: float) -> Update:
        self.asked += 1
        return Update({"a": Dense(torch.tensor(self._weight(t), dtype=torch.float64))})


def test_the_step_is_the_share_of_the_whole_norm() -> None:
    path = Curve(lambda t: [3 * t, 4 * t**2])
    for t in (0.0, 0.25, 0.5, 1.0):
        wanted = ((3 * t) ** 2 + (4 * t**2) ** 2) ** 0.5 / 5
        assert relative_step(path, t) == pytest.approx(wanted, abs=1e-12)


def test_a_straight_line_is_not_measured_point_by_point() -> None:
    line = DenseLine(Update({"a": Dense(torch.ones(3))}))
    for t in (0.0, 0.3, 1.0):
        assert relative_step(line, t) == t
        assert at_step(line, t) == pytest.approx(t, abs=1e-7)


@pytest.mark.parametrize("step", [0.0, 0.01, 0.3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("power", [0.5, 1, 3])
def test_at_step_inverts_the_step(step: float, power: float) -> None:
    path = Curve(lambda t: [t**power])
    t = at_step(path, step, tolerance=1e-9)
    assert t == pytest.approx(step ** (1 / power), abs=1e-6)
    assert path.asked < 40


def test_at_step_takes_the_first_point_of_a_level_stretch() -> None:
    assert at_step(Curve(lambda t: [min(t, 0.5) if t < 0.9 else 1.0]), 0.2) == pytest.approx(0.2)


@pytest.mark.parametrize("step", [-0.1, 1.1])
def test_steps_that_no_point_has_are_refused(step: float) -> None:
    with pytest.raises(NotMeasurable) as caught:
        at_step(Curve(lambda t: [t]), step)
    assert str(caught.value) == f"a step of {step:g} along the path 'curve', which goes from 0 to 1"


def test_a_path_that_goes_back_is_refused() -> None:
    with pytest.raises(NotMeasurable) as caught:
        at_step(Curve(lambda t: [t if t < 0.55 else 1 - t if t < 1 else 1.0]), 0.3)
    assert str(caught.value) == (
        "the path 'curve' has gone 0.5 of its way at 0.5 and 0.4 at 0.6: it goes back, and a step does not say which "
        "point is meant"
    )


def test_a_path_that_stays_has_no_steps() -> None:
    with pytest.raises(NotMeasurable) as caught:
        relative_step(Curve(lambda t: [0.0]), 0.5)
    assert str(caught.value) == "steps along the path 'curve': it ends at the base, where it starts"


def test_the_generators_of_rotations_go_by_their_angles(made: Make, config: Make) -> None:
    # With eigenvalues q of the generator, the squared step of a rotation is the sum of 4 q^2 / (1 + q^2) for W = I.
    adapter = made(config("oft", oft_block_size=16, use_cayley_neumann=False, target_modules=["q_proj"]))
    with torch.no_grad():
        for layer in adapter.base.model.layers:
            layer.self_attn.q_proj.weight.copy_(torch.eye(64))
    own = path_of(adapter.folder, adapter.base, "own")
    sizes = torch.cat([torch.linalg.eigvals(skew(x.double())).imag.flatten() for x in own.tensors(1).values()])

    def length(t: float) -> Tensor:
        return (4 * (t * sizes) ** 2 / (1 + (t * sizes) ** 2)).sum().sqrt()

    with steps_along(own) as step:
        for t in (0.1, 0.5, 0.9):
            assert step(t) == pytest.approx(float(length(t) / length(1)), rel=1e-5)


@pytest.mark.parametrize("label", ["own", "cayley_sqrt", "geodesic"])
def test_matched_steps_of_rotations_have_gone_equally_far(made: Make, config: Make, label: str) -> None:
    adapter = made(config("oft", oft_block_size=16, target_modules=["q_proj", "down_proj"]))
    path = path_of(adapter.folder, adapter.base, label)
    t = at_step(path, 0.3, tolerance=1e-6)
    assert path.at(t).norm() / path.at(1).norm() == pytest.approx(0.3, abs=1e-5)
