"""Numbers that depend on their own place alone."""

from __future__ import annotations

import hashlib

import torch

from holdfast.algebra.uniform import Uniform

CPU = torch.device("cpu")


def by_hand(seed: int, name: str, position: int) -> float:
    """SplitMix64 in whole numbers of Python."""
    word = 2**64 - 1
    key = int.from_bytes(hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "big")
    mixed = (position * 0x9E3779B97F4A7C15 + key) & word
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & word
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & word
    return ((mixed ^ (mixed >> 31)) & 0xFFFFFF) / 2**24


def test_they_are_those_of_splitmix() -> None:
    drawn = Uniform({"a": (3, 4)}, 7, {"a": 10**10}, CPU)
    assert drawn["a"].flatten().tolist() == [by_hand(7, "a", 10**10 + place) for place in range(12)]


def test_a_part_has_the_numbers_of_the_whole() -> None:
    whole = Uniform({"a": (1000, 300)}, 1, {}, CPU)["a"]
    part = Uniform({"b": (2,), "a": (600, 300)}, 1, {"a": 400 * 300}, CPU)
    assert torch.equal(part["a"], whole[400:])
    assert list(part) == ["b", "a"] and len(part) == 2


def test_names_and_seeds_have_numbers_of_their_own() -> None:
    draws = [Uniform({name: (10_000,)}, seed, {}, CPU)[name] for name, seed in (("a", 1), ("b", 1), ("a", 2))]
    assert torch.corrcoef(torch.stack(draws)).triu(1).abs().max() < 0.05


def test_they_are_spread_evenly() -> None:
    drawn = Uniform({"a": (1 << 18,)}, 0, {}, CPU)["a"]
    counts = torch.histc(drawn, 64, 0, 1)
    assert float(((counts - 4096) ** 2 / 4096).sum()) < 110  # of a chi-squared of 63 degrees, 1 in 5000 is above
    assert drawn.min() >= 0 and drawn.max() < 1
