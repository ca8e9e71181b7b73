"""Normal numbers that depend on their own place alone."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy
import pytest
import torch
from scipy import stats

from holdfast.algebra import normals
from holdfast.algebra.normals import normal, runs

CPU = torch.device("cpu")
WORD = 2**64 - 1
MANY = 1 << 20


@cache
def many(seed: int) -> torch.Tensor:
    return normal(seed, "w", 0, MANY)


def by_hand(seed: int, name: str, position: int) -> float:
    """SplitMix64 in whole numbers of Python, and Box and Muller by the functions of its library."""
    digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16, person=b"normal").digest()
    row, column = divmod(position, 2048)
    second, place = divmod(column, 1024)
    mixed = (int.from_bytes(digest[:8], "big") + (1024 * row + place) * 0x9E3779B97F4A7C15) & WORD
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    mixed ^= int.from_bytes(digest[8:], "big")
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & WORD
    mixed ^= mixed >> 31
    low, high = mixed & 0xFFFFFFFF, mixed >> 32
    radius = math.sqrt(-2 * math.log(((low & 0x7FFFFFFF) + 0.5) / 2**31))
    angle = math.pi / 2 * (high - 2**32 * (high >> 31)) / 2**31
    return radius * (math.sin(angle) if second else math.copysign(math.cos(angle), -1 if low >> 31 else 1))


@pytest.mark.parametrize(("name", "start"), [("a", 0), ("model.layers.0.mlp.up_proj.weight", 1000), ("a", 10**13 + 5)])
def test_they_are_those_of_splitmix_by_box_and_muller(name: str, start: int) -> None:
    drawn = normal(7, name, start, start + 3000)
    wanted = [by_hand(7, name, place) for place in range(start, start + 3000)]
    torch.testing.assert_close(drawn, torch.tensor(wanted), rtol=1e-6, atol=1e-5)


def test_every_byte_is_fixed() -> None:
    """Noise that was drawn once can be drawn by every later version, and on another processor."""
    drawn = normal(42, "weight", 0, 100_000)
    assert hashlib.blake2b(drawn.numpy().tobytes(), digest_size=8).hexdigest() == "cd930b0171b50924"


def test_numpy_and_torch_draw_the_same_bits() -> None:
    sources = [normals._Source(7, CPU, by) for by in (numpy, torch)]
    for source in sources:
        source.draw(3, "a", 11)
    assert torch.equal(sources[0].drawn, sources[1].drawn)


@pytest.mark.parametrize("together", [1, 3, 500])
def test_they_do_not_depend_on_how_many_are_drawn_together(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = normal(1, "a", 0, 50_000)
    monkeypatch.setitem(normals._ROWS_TOGETHER, "cpu", together)
    assert torch.equal(normal(1, "a", 0, 50_000), wanted)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, 200_000), (1023, 1025), (2047, 2049), (65_530, 140_001), (9, 9)]
)
def test_a_part_has_the_numbers_of_the_whole(start: int, stop: int) -> None:
    assert torch.equal(normal(1, "a", start, stop), normal(1, "a", 0, 200_000)[start:stop])


def test_runs_follow_each_other() -> None:
    found = torch.cat([run.clone() for _, run in runs(1, "a", 5, 200_000)])
    places = [place for place, _ in runs(1, "a", 5, 200_000)]
    lengths = [len(run) for _, run in runs(1, "a", 5, 200_000)]
    assert places == [0, *itertools.accumulate(lengths[:-1])]
    assert len(places) > 1 and torch.equal(found, normal(1, "a", 5, 200_000))


@pytest.mark.parametrize(("start", "stop"), [(-1, 4), (5, 4)])
def test_a_range_that_is_none_is_refused(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match=rf"numbers from {start} to {stop}: positions begin at 0, and a range ends"):
        normal(1, "a", start, stop)


def test_names_and_seeds_have_numbers_of_their_own() -> None:
    keys = [(1, "a"), (1, "b"), (2, "a"), (11, ""), (1, "1"), (12, "a"), (1, "2 a")]
    draws = torch.stack([normal(seed, name, 0, 100_000) for seed, name in keys])
    assert float(torch.corrcoef(draws).triu(1).abs().max()) < 4.5 / math.sqrt(100_000)


@pytest.mark.parametrize("lag", [1, 2, 64, 1023, 1024, 1025, 2048])
def test_neighbours_know_nothing_of_each_other(lag: int) -> None:
    drawn = many(3).double()
    for shape in (lambda x: x, torch.square, torch.sign, lambda x: (x.abs() > 2).double()):
        one = shape(drawn) - shape(drawn).mean()
        found = float((one[:-lag] * one[lag:]).mean() / one.square().mean())
        assert abs(found) < 4.5 / math.sqrt(MANY)


MOMENTS: list[tuple[int, float, float]] = [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10_170)]
"""Powers of a normal number, their mean and their variance."""


@pytest.mark.parametrize(("power", "mean", "variance"), MOMENTS)
@pytest.mark.parametrize("part", [slice(0, None), slice(0, 1024), slice(1024, None)], ids=["all", "firsts", "seconds"])
def test_moments_are_those_of_a_normal(power: int, mean: float, variance: float, part: slice) -> None:
    drawn = many(3).double().view(-1, 2048)[:, part]
    assert abs(float((drawn**power).mean()) - mean) < 4 * math.sqrt(variance / drawn.numel())


def test_tails_are_those_of_a_normal() -> None:
    drawn = many(3)
    for sigma in (1.0, 2.0, 3.0, 4.0, 4.5):
        for side in (drawn, -drawn):
            wanted = MANY * stats.norm.sf(sigma)
            assert abs(int((side > sigma).sum()) - wanted) < 4 * math.sqrt(wanted)
    assert 4.7 < float(drawn.abs().max()) < 6.67


@pytest.mark.parametrize("seed", range(3))
def test_the_distribution_is_normal(seed: int) -> None:
    assert stats.kstest(normal(seed, "a", 0, 1 << 18).numpy(), "norm").pvalue > 1e-3


def test_squared_lengths_have_the_spread_of_a_chi_squared() -> None:
    lengths = many(3).double().view(-1, 512).square().sum(1).numpy()
    assert stats.kstest(lengths, stats.chi2(512).cdf).pvalue > 1e-3


def test_tensors_together_have_the_spread_of_independent_ones() -> None:
    """The sums over many tensors at one position scatter as they should: no tensor repeats another's numbers."""
    sums = sum((normal(4, f"layers.{layer}.weight", 0, 4096).double() for layer in range(50)), torch.zeros(4096))
    assert stats.kstest((sums / math.sqrt(50)).numpy(), "norm").pvalue > 1e-3


@pytest.mark.gpu
def test_a_gpu_draws_the_same_bits() -> None:
    assert torch.equal(normal(3, "w", 77, 3_000_000, "cuda").cpu(), normal(3, "w", 77, 3_000_000))


def _extreme(low: int, high: int) -> Callable[[normals._Source, int, str, int], None]:
    def put(source: normals._Source, seed: int, name: str, place: int) -> None:
        source._low[:], source._high[:] = low, high

    return put


@pytest.mark.parametrize("low", [0, 1, 2**31 - 1, -1, -(2**31), 0x3504F333, 0x5A827999])
@pytest.mark.parametrize("high", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_the_rarest_bits_give_numbers_too(low: int, high: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normals._Source, "_draw_bits", _extreme(low, high))
    source = normals._Source(1, CPU, numpy)
    source.draw(0, "", 0)
    cosine, sine = source.drawn.double()[[0, 1024]].tolist()
    radius = math.sqrt(abs(2 * math.log(((low & 0x7FFFFFFF) + 0.5) / 2**31)))
    # Beside 1, float32 knows no radius between 0 and 3.5e-4.
    slack = 4e-4 if radius < 4e-4 else 1e-6 * radius
    assert math.hypot(cosine, sine) == pytest.approx(radius, abs=slack)
    assert sine == pytest.approx(radius * math.sin(math.pi / 2 * high / 2**31), abs=slack)
    assert math.copysign(1, cosine) == (-1 if low < 0 else 1)
