"""A change drawn at random answers as its dense form does, and is never stored."""

from __future__ import annotations

import math

import pytest
import torch

from holdfast.algebra.delta import Dense, Scaled
from holdfast.algebra.noise import Noise, runs_of
from holdfast.algebra.normals import normal


def test_its_numbers_are_those_of_its_name() -> None:
    noise = Noise((70, 1000), 3, "a")
    assert noise.shape == (70, 1000) and noise.device == torch.device("cpu")
    assert torch.equal(noise.dense(), normal(3, "a", 0, 70_000).view(70, 1000))


def test_equal_shapes_have_noise_of_their_own() -> None:
    one, other = (Noise((300, 100), 3, name).dense().flatten() for name in ("a", "b"))
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.025


def test_rows_of_a_tensor_have_the_noise_of_the_whole() -> None:
    whole = Noise((70, 1000), 3, "a").dense()
    parts = [Noise((35, 1000), 3, "a", start=start).dense() for start in (0, 35_000)]
    assert torch.equal(torch.cat(parts), whole)


def test_it_is_scaled_once_in_float32() -> None:
    assert torch.equal(Noise((5, 7), 3, "a", scale=0.3).dense(), 0.3 * Noise((5, 7), 3, "a").dense())


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 4), (3, 4), (300, 1000)])
def test_it_answers_as_its_dense_form(shape: tuple[int, ...]) -> None:
    noise = Noise(shape, 3, "a", scale=0.5)
    dense = Dense(noise.dense())
    assert noise.dense().shape == shape
    assert noise.norm() == pytest.approx(dense.norm(), rel=1e-6)
    assert torch.equal(noise.to("cpu").dense(), noise.dense())
    if len(shape) == 2:
        inputs = torch.ones(2, shape[1])
        assert torch.equal(noise.times(inputs), dense.times(inputs))


def test_it_is_about_as_long_as_the_root_of_its_size() -> None:
    assert Noise((1000, 1000), 1, "a").norm() == pytest.approx(math.sqrt(1e6), abs=4 * math.sqrt(0.5))


@pytest.mark.parametrize("change", [Noise((300, 1000), 3, "a", scale=2.0), Dense(torch.ones(300, 1000))])
def test_runs_make_up_the_change_and_may_be_written_into(change: Noise | Dense) -> None:
    wanted = change.dense().clone()
    found = torch.full((300_000,), torch.nan)
    for place, run in runs_of(change):
        found[place : place + len(run)] = run
        run.zero_()
    assert torch.equal(found.view(300, 1000), wanted)
    assert torch.equal(change.dense(), wanted)


def test_runs_of_any_other_form_are_those_of_its_dense_form() -> None:
    change = Scaled(0.5, Noise((7, 9), 3, "a"))
    assert torch.equal(torch.cat([run for _, run in runs_of(change, 10)]).view(7, 9), change.dense())
