"""A sketch keeps inner products, as far as chance allows."""

from __future__ import annotations

import pytest
import torch

from holdfast.algebra.sketch import count_sketch
from holdfast.algebra.specificity import cosine
from holdfast.algebra.uniform import Uniform


def test_it_is_the_sum_written_out() -> None:
    values, width = torch.randn(5, 7), 4
    shape, device = {"w": (35,)}, torch.device("cpu")
    signs, places = (Uniform(shape, seed, {}, device)["w"].tolist() for seed in (1, 2))
    wanted = [0.0] * width
    for value, sign, place in zip(values.flatten().tolist(), signs, places, strict=True):
        wanted[int(place * width)] += value if sign >= 0.5 else -value
    assert count_sketch(values, width, "w").tolist() == pytest.approx(wanted, abs=1e-5)


def test_it_is_linear_and_the_same_whoever_makes_it() -> None:
    one, other = torch.randn(60, 50), torch.randn(60, 50)
    sketches = [count_sketch(each, 64, "w") for each in (one, other, 2 * one - other)]
    assert torch.allclose(2 * sketches[0] - sketches[1], sketches[2], atol=1e-4)
    assert torch.equal(sketches[0], count_sketch(one, 64, "w"))
    assert not torch.equal(sketches[0], count_sketch(one, 64, "another name"))


def test_small_tensors_are_kept_as_they_are_and_apart() -> None:
    values = torch.randn(3, 4)
    sketch = count_sketch(values, 12, "w")
    assert torch.equal(sketch, values.flatten())
    values.zero_()
    assert sketch.any()


def test_cosines_are_off_by_about_one_over_the_root_of_the_width() -> None:
    draw, width = torch.Generator().manual_seed(0), 1024
    errors = []
    for turn in range(40):
        one = torch.randn(20_000, generator=draw)
        other = 0.5 * one + torch.randn(20_000, generator=draw)
        key = f"w{turn}"
        errors.append(cosine(count_sketch(one, width, key), count_sketch(other, width, key)) - cosine(one, other))
    spread = torch.tensor(errors)
    assert 0.5 / width**0.5 < float(spread.std()) < 2 / width**0.5
    assert abs(float(spread.mean())) < 4 * float(spread.std()) / 40**0.5


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a sketch keeps at least one number, and 0 were asked for"):
        count_sketch(torch.ones(3), 0, "w")
