"""The largest or smallest scores, against a sort of all of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from holdfast.algebra.mask import Mask
from holdfast.algebra.selection import random, top
from holdfast.core.errors import NotMeasurable

SIZES = [(0,), (1,), (3, 5), (130,), (40, 40), (127, 100)]
CALIBRATIONS = ["minmax", "mean", "quantile", "none"]


def calibrated(values: NDArray[np.float64], calibration: str) -> NDArray[np.float64]:
    """Scores of one group on its scale, written out."""
    if not len(values):
        return values
    origin, unit = 0.0, 1.0
    if calibration == "minmax":
        origin, unit = values.min(), values.max() - values.min()
    elif calibration == "mean":
        # Every number of float32 is a whole number of 2^-149.
        unit = float(Fraction(sum(map(int, (values * 2.0**149).tolist())), len(values) << 149))
    elif calibration == "quantile":
        unit = np.quantile(values, 0.99, method="inverted_cdf")
    return (values - origin) / unit if unit else np.zeros_like(values)


def sorted_out(
    scores: Mapping[str, Tensor],
    share: str,
    groups: Mapping[str, str] | None = None,
    calibration: str = "minmax",
    each: str = "all",
    largest: bool = True,
) -> dict[str, list[bool]]:
    """Everything calibrated in float64, sorted at once, ties by position."""
    own = groups or {name: name for name in scores}
    flat = {name: held.float().double().flatten().numpy() for name, held in scores.items()}
    scaled = {}
    for group in set(own.values()):
        names = [name for name in scores if own[name] == group]
        joined = calibrated(np.concatenate([flat[name] for name in names]), calibration)
        cuts = np.cumsum([len(flat[name]) for name in names])[:-1]
        scaled |= dict(zip(names, np.split(joined, cuts), strict=True))
    pools = {"all": lambda name: "", "group": lambda name: own[name], "tensor": lambda name: name}[each]
    chosen = {}
    for pool in {pools(name) for name in scores}:
        names = [name for name in scores if pools(name) == pool]
        joined = np.concatenate([scaled[name] for name in names])
        order = np.argsort(-joined if largest else joined, kind="stable")
        flags = np.zeros(len(joined), dtype=bool)
        flags[order[: floor(Fraction(share) * len(joined))]] = True
        cuts = np.cumsum([len(flat[name]) for name in names])[:-1]
        chosen |= {name: part.tolist() for name, part in zip(names, np.split(flags, cuts), strict=True)}
    return chosen


def told(mask: Mask) -> dict[str, list[bool]]:
    return {name: bits.dense().flatten().tolist() for name, bits in mask.items()}


MAKERS: dict[str, Callable[[tuple[int, ...], torch.Generator], Tensor]] = {
    "even": lambda shape, rng: torch.rand(shape, generator=rng),
    "ties": lambda shape, rng: (torch.rand(shape, generator=rng) * 4).floor(),
    "equal": lambda shape, rng: torch.full(shape, 3.0),
    "zeros": lambda shape, rng: torch.zeros(shape),
    "mostly zero": lambda shape, rng: torch.rand(shape, generator=rng) * (torch.rand(shape, generator=rng) > 0.95),
    "huge range": lambda shape, rng: (10 ** (torch.rand(shape, generator=rng).double() * 60 - 30)).float(),
    "denormal": lambda shape, rng: torch.randint(0, 50, shape, generator=rng, dtype=torch.int32).view(torch.float32),
    "half": lambda shape, rng: torch.rand(shape, generator=rng).bfloat16(),
    "float16": lambda shape, rng: torch.rand(shape, generator=rng).half(),
    "double": lambda shape, rng: torch.rand(shape, generator=rng, dtype=torch.float64),
    "not in order": lambda shape, rng: torch.rand(shape[::-1], generator=rng).permute(*range(len(shape))[::-1]),
}


@st.composite
def models(draw: st.DrawFn) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    rng = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    kinds = st.lists(st.tuples(st.sampled_from(SIZES), st.sampled_from(list(MAKERS))), min_size=1, max_size=5)
    scores = {f"t{n}": MAKERS[kind](shape, rng) for n, (shape, kind) in enumerate(draw(kinds))}
    groups = draw(st.none() | st.lists(st.sampled_from("xy"), min_size=len(scores), max_size=len(scores)))
    return scores, groups and dict(zip(scores, groups, strict=True))


@settings(max_examples=150, deadline=None)
@given(
    models(),
    st.sampled_from(["0.0", "0.001", "0.01", "0.05", "0.07", "0.29", "0.5", "0.9", "0.9999", "1.0"]),
    st.sampled_from(CALIBRATIONS),
    st.sampled_from(["all", "group", "tensor"]),
    st.booleans(),
)
def test_it_chooses_what_a_sort_chooses(
    model: tuple[dict[str, Tensor], dict[str, str] | None], share: str, calibration: str, each: str, largest: bool
) -> None:
    scores, groups = model
    options: dict[str, Any] = {"groups": groups, "calibration": calibration, "each": each, "largest": largest}
    try:
        found = top(scores, float(share), **options)
    except NotMeasurable as reason:
        assert calibration == "quantile" and "at least 99 % are 0" in str(reason)
        return
    assert told(found) == sorted_out(scores, share, **options)
    assert [bits.shape for bits in found.values()] == [tuple(held.shape) for held in scores.values()]


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("largest", [True, False])
def test_a_larger_model_is_sorted_out_alike(calibration: str, largest: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    scores = {f"t{n}": torch.randn(200, 300, generator=rng) ** 2 * 10.0 ** (n % 4 - 6) for n in range(6)}
    groups = {f"t{n}": f"block {n // 2}" for n in range(6)}
    options: dict[str, Any] = {"groups": groups, "calibration": calibration, "largest": largest}
    assert told(top(scores, 0.01, **options)) == sorted_out(scores, "0.01", **options)


def test_the_share_is_the_decimal_number_that_is_printed() -> None:
    scores = {"a": torch.arange(100.0)}
    assert [top(scores, share).count() for share in (0.07, 0.29, 0.57, 0.58, 1e-5, 0.999)] == [7, 29, 57, 58, 0, 99]
    assert top(scores, float(np.float64(0.07))).count() == 7


def test_of_equal_scores_the_first_are_taken_over_tensors() -> None:
    scores = {"b": torch.ones(5), "a": torch.ones(5)}
    assert told(top(scores, 0.6))["b"] == [True] * 5
    assert told(top(scores, 0.6, largest=False))["a"] == [True, False, False, False, False]


def test_a_factor_of_a_group_does_not_change_what_is_chosen() -> None:
    scores = {name: torch.rand(1000) for name in "ab"}
    scaled = scores | {"b": scores["b"] * 2.0**-20}
    for calibration in ("minmax", "mean", "quantile"):
        assert top(scores, 0.1, calibration=calibration) == top(scaled, 0.1, calibration=calibration)  # type: ignore[arg-type]


class Lazy(Mapping[str, Tensor]):
    """Scores that are made when they are asked for, and counted."""

    def __init__(self, make: Callable[[int], Tensor], count: int) -> None:
        self.asked = dict.fromkeys((f"t{n}" for n in range(count)), 0)
        self.alive: list[weakref.ref[Tensor]] = []
        self.most_alive = 0
        self._make = make

    def __getitem__(self, name: str) -> Tensor:
        self.asked[name] += 1
        made = self._make(int(name[1:]))
        self.alive = [*(held for held in self.alive if held() is not None), weakref.ref(made)]
        self.most_alive = max(self.most_alive, len(self.alive))
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self.asked)

    def __len__(self) -> int:
        return len(self.asked)


def seeded(number: int) -> Tensor:
    return torch.rand(128, 512, generator=torch.Generator().manual_seed(number))


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, 2),
        ({"calibration": "mean"}, 2),
        ({"calibration": "none"}, 2),
        ({"calibration": "quantile"}, 3),
        ({"each": "tensor"}, 1),
        ({"each": "group", "groups": {f"t{n}": f"{n % 2}" for n in range(6)}}, 2),
    ],
)
def test_tensors_are_asked_for_seldom_and_not_kept(options: dict[str, Any], times: int) -> None:
    lazy = Lazy(seeded, 6)
    top(lazy, 0.05, **options)
    assert set(lazy.asked.values()) == {times}
    assert lazy.most_alive == 1


class Peak(TorchDispatchMode):
    """How much memory tensors that are made in its block took at most, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._live = 0
        self._users: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for made in (leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)):
            storage = made.untyped_storage()
            at, size = storage.data_ptr(), storage.nbytes()
            if size and not self._users.get(at):
                self._live += size
                self.peak = max(self.peak, self._live)
            self._users[at] = self._users.get(at, 0) + 1
            weakref.finalize(made, self._dropped, at, size)
        return found

    def _dropped(self, at: int, size: int) -> None:
        self._users[at] -= 1
        if not self._users[at]:
            self._live -= size


@pytest.mark.parametrize("share", [0.01, 0.5])
@pytest.mark.parametrize("make", [seeded, lambda number: torch.zeros(128, 512)], ids=["even", "all tied"])
def test_memory_is_far_below_that_of_the_scores(share: float, make: Callable[[int], Tensor]) -> None:
    count = 64
    lazy = Lazy(make, count)
    gc.collect()
    with Peak() as memory:
        found = top(lazy, share)
    assert found.count() == floor(share * count * 128 * 512)
    assert memory.peak < 0.3 * 4 * count * 128 * 512


def test_a_share_outside_of_0_and_1_is_refused() -> None:
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"a share lies in \\[0, 1\\], and {share} does not: 1 % is 0.01"):
            top({"a": torch.ones(3)}, share)


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown share 'groups': did you mean 'group'"):
        top({"a": torch.ones(3)}, 0.1, each="groups")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown calibration 'means'"):
        top({"a": torch.ones(3)}, 0.0, calibration="means")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'b' has none; name the group of every tensor, or of no tensor"):
        top({"a": torch.ones(3), "b": torch.ones(3)}, 0.1, groups={"a": "x"})


def test_nothing_of_nothing_is_nothing() -> None:
    assert len(top({}, 0.5)) == 0
    assert top({"a": torch.zeros(0, 3)}, 0.5).size == 0


def test_scores_are_left_as_they_are_and_need_no_gradient() -> None:
    scores = torch.rand(1000, requires_grad=True)
    before = scores.detach().clone()
    top({"a": scores}, 0.1)
    assert torch.equal(scores, before)


SHAPES = {"a": (100, 70), "b": (9,), "nothing": (0, 3)}


@pytest.mark.parametrize("each", ["all", "group", "tensor"])
def test_a_random_share_is_exact_and_depends_on_the_seed_alone(each: Any) -> None:
    groups = {"a": "x", "b": "y", "nothing": "y"}
    found = random(SHAPES, 0.25, 3, each=each, groups=groups)
    sizes = {"all": [7009], "group": [7000, 9], "tensor": [7000, 9, 0]}[each]
    assert found.count() == sum(size // 4 for size in sizes)
    assert found == random(SHAPES, 0.25, 3, each=each, groups=groups)
    assert found != random(SHAPES, 0.25, 4, each=each, groups=groups)


def test_random_shares_of_two_seeds_overlap_by_chance_only() -> None:
    one, other = (random({"a": (1000, 300)}, 0.1, seed) for seed in (1, 2))
    assert abs((one & other).count() - 3000) < 5 * 3000**0.5
    rows = one["a"].dense().sum(1)
    assert int(rows.min()) > 10 and int(rows.max()) < 55


def test_a_smaller_random_share_lies_within_a_larger_one() -> None:
    small, large = (random(SHAPES, share, 1) for share in (0.1, 0.2))
    assert (small & large) == small
